"""MovieLens-1M: few items, long histories.

Aim: HR@10 and NDCG@10 (full catalogue, leave-one-out, seen items excluded) of the published softmax
SASRec, .3058 and .1779 (blondered/bert4rec_repro); first-order Markov: .2119 and .1248.
The teacher's figures: README, tests/benchmarks/results/teacher_ml1m_sasrec.json; it trains in about
an hour on one core, twice as long without the bfloat16 of that run.
Data: 6,040 users, 3,416 items, 999,611 interactions; columns user_id, item_id, timestamp.
Command: `adarec run --scene ml1m --data interactions.csv.gz`.
"""

from adarec_tf.config import PipelineConfig
from adarec_tf.data.datasets import DATASETS
from adarec_tf.distillation_config import DistillationConfig
from adarec_tf.search_config import SearchConfig
from adarec_tf.teacher_config import SASRecConfig
from adarec_tf.training_config import TrainingConfig


def ml1m() -> PipelineConfig:
    """The settings of the run."""
    return PipelineConfig(
        scene="ml1m",
        data=DATASETS["ml1m"].config,
        teacher=SASRecConfig(hidden_dim=128, num_blocks=3, feed_forward_dim=256, dropout=0.2),
        # Histories of up to 2,300 films: what is older than the last 200 is worth training on.
        training=TrainingConfig(
            max_epochs=40,
            patience=10,
            positions_per_batch=2048,
            learning_rate=1e-3,
            windows="all",
        ),
        search=SearchConfig(positions_per_batch=2048),
        distillation=DistillationConfig(positions_per_batch=2048),
    )
