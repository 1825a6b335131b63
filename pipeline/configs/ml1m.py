"""MovieLens-1M: few items, long histories.

Aim: HR@10 and NDCG@10 (full catalogue, leave-one-out, seen items excluded) above first-order
Markov's .2119 and .1248; published softmax SASRec: .3058 and .1779 (blondered/bert4rec_repro).
Data: 6,040 users, 3,416 items, 999,611 interactions; columns user_id, item_id, timestamp.
Command: `adarec run --scene ml1m --data interactions.csv.gz`.
"""

from adarec_tf.config import (
    DistillationConfig,
    PipelineConfig,
    SearchConfig,
    TrainingConfig,
)
from adarec_tf.data.datasets import DATASETS


def ml1m() -> PipelineConfig:
    """The settings of the run."""
    return PipelineConfig(
        scene="ml1m",
        data=DATASETS["ml1m"].config,
        training=TrainingConfig(max_epochs=20, positions_per_batch=2048),
        search=SearchConfig(positions_per_batch=2048),
        distillation=DistillationConfig(positions_per_batch=2048),
    )
