"""Nowplaying: music listening sessions with a large catalog.

Aim: HR@10 (full catalog, leave-one-out) above first-order Markov's .099.
The figures: docs/benchmarks.md; in tests/benchmarks/results/ the teacher's are in
teacher_nowplaying_sasrec.json, the student's in distilled_nowplaying.json.
Data: 142,556 sessions, 60,416 items, 1,057,684 interactions; columns user_id, item_id, timestamp.
Command: `adarec run --scene nowplaying --data interactions.csv.gz`.
"""

from adarec_tf.config.data import DataConfig
from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import SASRecConfig
from adarec_tf.config.training import TrainingConfig

NOWPLAYING = PipelineConfig(
    scene="nowplaying",
    data=DataConfig(max_length=20, windows="last"),
    # A softmax over the whole catalog would be most of a step: the teacher's is sampled.
    teacher=SASRecConfig(hidden_dim=64, num_blocks=2, feed_forward_dim=256, dropout=0.3),
    training=TrainingConfig(
        max_epochs=10, positions_per_batch=1024, learning_rate=2e-3, loss="sampled_softmax"
    ),
    # A fifth of the teacher's bytes holds its whole width at four bits a number.
    student=StudentConfig(hidden_dim=64, num_nodes=2, dropout=0.0, precision="int4"),
    search=SearchConfig(
        max_epochs=8, warmup_epochs=4, positions_per_batch=1024, learning_rate=3e-3
    ),
    distillation=DistillationConfig(
        kd_weight=0.9,
        embedding_weight=0.0,
        logits_items="sampled",
        initial_table="teacher",
        max_epochs=12,
        learning_rate=4e-3,
    ),
)
