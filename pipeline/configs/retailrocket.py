"""RetailRocket: view sessions of a shop, short and full of repeats.

Aim: HR@10 (full catalogue, leave-one-out) above first-order Markov's .378.
The teacher's figures: README, tests/benchmarks/results/teacher_retailrocket_sasrec.json.
Data: 130,903 sessions, 36,968 items, 710,586 interactions; columns user_id, item_id, timestamp.
Command: `adarec run --scene retailrocket --data interactions.csv.gz`.
"""

from adarec_tf.config import PipelineConfig
from adarec_tf.data.datasets import DATASETS
from adarec_tf.distillation_config import DistillationConfig
from adarec_tf.search_config import SearchConfig
from adarec_tf.teacher_config import SASRecConfig
from adarec_tf.training_config import TrainingConfig


def retailrocket() -> PipelineConfig:
    """The settings of the run."""
    return PipelineConfig(
        scene="retailrocket",
        data=DATASETS["retailrocket"].config,
        # A softmax over the whole catalogue would be most of a step: the teacher's is sampled.
        teacher=SASRecConfig(hidden_dim=64, num_blocks=2, feed_forward_dim=256, dropout=0.3),
        training=TrainingConfig(
            max_epochs=12,
            positions_per_batch=1024,
            learning_rate=2e-3,
            loss="sampled_softmax",
        ),
        search=SearchConfig(max_epochs=4, warmup_epochs=2, positions_per_batch=2048),
        distillation=DistillationConfig(max_epochs=8, positions_per_batch=2048),
    )
