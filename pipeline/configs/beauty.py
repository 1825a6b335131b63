"""Amazon Beauty, 5-core: many items, short histories.

Aim: NDCG@10 (full catalog, leave-one-out, seen items excluded) of the teacher near the .0519 of a
plain softmax SASRec of width 64; first-order Markov has HR@10 .0709 and NDCG@10 .0482 here, with
transitions to the validation item counted.
Measured: docs/benchmarks.md, scene_beauty.json; about 20 minutes on 2 cores.
Data: 22,363 users, 12,101 items, 198,502 interactions; columns user_id, item_id, timestamp.
Command: `adarec run --scene beauty --data interactions.csv.gz`.
"""

from adarec_tf.config.data import DataConfig
from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.config.training import TrainingConfig

BEAUTY = PipelineConfig(
    scene="beauty",
    data=DataConfig(
        min_user_interactions=5, min_item_interactions=5, max_length=50, windows="last"
    ),
    # Short histories: a wide and shallow teacher, and much dropout.
    teacher=NextItNetConfig(hidden_dim=128, num_blocks=2, dropout=0.5),
    training=TrainingConfig(max_epochs=16, learning_rate=1e-3),
    student=StudentConfig(hidden_dim=64, dropout=0.3),
    search=SearchConfig(max_epochs=8, warmup_epochs=5, positions_per_batch=512),
    distillation=DistillationConfig(max_epochs=12, hidden_weight=1.0),
)
