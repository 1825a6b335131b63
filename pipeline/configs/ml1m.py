"""MovieLens-1M: few items, long histories.

Aim: HR@10 and NDCG@10 (full catalog, leave-one-out, seen items excluded) of the published softmax
SASRec, .3058 and .1779 (blondered/bert4rec_repro); first-order Markov: .2119 and .1248.
The figures: docs/benchmarks.md; in tests/benchmarks/results/ the teacher's are in
teacher_ml1m_sasrec.json, the student's in distilled_ml1m.json, from this teacher and a BERT4Rec.
The teacher trains in half an hour to an hour on one core with bfloat16, twice as long without;
search and student together take as long.
Data: 6,040 users, 3,416 items, 999,611 interactions; columns user_id, item_id, timestamp.
Command: `adarec run --scene ml1m --data interactions.csv.gz`.
"""

from adarec_tf.config.data import DataConfig
from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.config.teacher import SASRecConfig
from adarec_tf.config.training import TrainingConfig

ML1M = PipelineConfig(
    scene="ml1m",
    # Histories of up to 2,300 films: what is older than the last 200 is worth training on.
    data=DataConfig(
        min_user_interactions=5, min_item_interactions=5, max_length=200, windows="all"
    ),
    teacher=SASRecConfig(hidden_dim=128, num_blocks=3, feed_forward_dim=256, dropout=0.2),
    training=TrainingConfig(
        max_epochs=40, patience=10, positions_per_batch=2048, learning_rate=1e-3
    ),
    # A fifth of the teacher's bundle: the rest of it is the graph.
    student=StudentConfig(hidden_dim=80, num_cells=4, num_nodes=2, dropout=0.0, precision="int4"),
    search=SearchConfig(
        alphas="per_cell",
        max_epochs=8,
        warmup_epochs=4,
        positions_per_batch=2048,
        learning_rate=3e-3,
        cost_weight=0.0,
        max_bytes=470_000,
        num_evaluations=30,
    ),
    distillation=DistillationConfig(
        kd_weight=0.8,
        embedding_weight=0.0,
        initial_table="teacher",
        max_epochs=20,
        patience=8,
        positions_per_batch=2048,
        learning_rate=4e-3,
    ),
)
