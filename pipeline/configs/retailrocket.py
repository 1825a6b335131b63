"""RetailRocket: view sessions of a shop, short and full of repeats.

Aim: HR@10 (full catalogue, leave-one-out) above first-order Markov's .378.
Data: 130,903 sessions, 36,968 items, 710,586 interactions; columns user_id, item_id, timestamp.
Command: `adarec run --scene retailrocket --data interactions.csv.gz`.
"""

from adarec_tf.config import (
    DistillationConfig,
    NextItNetConfig,
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
        # The softmax over the whole catalogue is what an epoch costs: narrow models, few epochs.
        teacher=NextItNetConfig(hidden_dim=64, num_blocks=2),
        training=TrainingConfig(max_epochs=8, positions_per_batch=2048),
        search=SearchConfig(max_epochs=4, warmup_epochs=2, positions_per_batch=2048),
        distillation=DistillationConfig(max_epochs=8, positions_per_batch=2048),
    )
