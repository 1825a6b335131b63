"""RetailRocket: view sessions of a shop, short and full of repeats.

Aim: HR@10 (full catalogue, leave-one-out) above first-order Markov's .378.
Data: 130,903 sessions, 36,968 items, 710,586 interactions; columns user_id, item_id, timestamp.
Command: `adarec run --scene retailrocket --data interactions.csv.gz`.
"""

from adarec_tf.config import (
    DistillationConfig,
    PipelineConfig,
    SearchConfig,
    TrainingConfig,
)
from adarec_tf.data.datasets import DATASETS


def retailrocket() -> PipelineConfig:
    """The settings of the run."""
    return PipelineConfig(
        scene="retailrocket",
        data=DATASETS["retailrocket"].config,
        training=TrainingConfig(positions_per_batch=4096),
        search=SearchConfig(positions_per_batch=4096),
        distillation=DistillationConfig(positions_per_batch=4096),
    )
