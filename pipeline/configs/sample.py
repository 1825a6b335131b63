"""The built-in scene: a generated log with structure beyond the previous item, for a first run.

Aim: more accurate than a first-order Markov chain by far, with a fraction of the teacher's size.
Data: generated, 3,000 users and 600 items.
Command: `adarec run --scene sample`.
"""

from adarec_tf.config.data import DataConfig
from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.config.training import TrainingConfig

SAMPLE = PipelineConfig(
    scene="sample",
    data=DataConfig(max_length=32, windows="last"),
    teacher=NextItNetConfig(hidden_dim=128, num_blocks=4, dropout=0.2),
    # Small batches: an epoch of this scene is short, and updates are what it lacks.
    training=TrainingConfig(max_epochs=10, positions_per_batch=512),
    student=StudentConfig(hidden_dim=32),
    search=SearchConfig(max_epochs=12, warmup_epochs=6, positions_per_batch=512),
    # With the paper's layers by Earth Mover's Distance: their picture is worth a look.
    distillation=DistillationConfig(
        max_epochs=20, positions_per_batch=512, learning_rate=3e-3, hidden_weight=1.0
    ),
)
