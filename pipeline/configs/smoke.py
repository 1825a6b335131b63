"""A scene that takes seconds: does the whole way from raw file to served student work?

Aim: every stage runs; the figures mean nothing.
Data: generated, 200 users and 150 items.
Command: `adarec run --scene smoke`.
"""

from adarec_tf.config.data import DataConfig
from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.evaluation import EvaluationConfig
from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.config.training import TrainingConfig

SMOKE = PipelineConfig(
    scene="smoke",
    data=DataConfig(max_length=16, windows="last"),
    teacher=NextItNetConfig(hidden_dim=16, num_blocks=1),
    training=TrainingConfig(max_epochs=2),
    student=StudentConfig(hidden_dim=8, num_cells=1, num_nodes=2),
    search=SearchConfig(max_epochs=2, warmup_epochs=1),
    distillation=DistillationConfig(max_epochs=2, hidden_weight=1.0),
    # Two epochs teach nothing: the push is what this run is for.
    evaluation=EvaluationConfig(min_teacher_ndcg_share=0.0, max_latency_ms=1000.0),
)
