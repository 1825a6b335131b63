"""Nowplaying: music listening sessions with a large catalogue.

Aim: HR@10 (full catalogue, leave-one-out) above first-order Markov's .099.
Data: 142,556 sessions, 60,416 items, 1,057,684 interactions; columns user_id, item_id, timestamp.
Command: `adarec run --scene nowplaying --data interactions.csv.gz`.
"""

from adarec_tf.config import (
    DistillationConfig,
    PipelineConfig,
    SearchConfig,
    TrainingConfig,
)
from adarec_tf.data.datasets import DATASETS


def nowplaying() -> PipelineConfig:
    """The settings of the run."""
    return PipelineConfig(
        scene="nowplaying",
        data=DATASETS["nowplaying"].config,
        training=TrainingConfig(positions_per_batch=4096),
        search=SearchConfig(positions_per_batch=4096),
        distillation=DistillationConfig(positions_per_batch=4096),
    )
