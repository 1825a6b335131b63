"""MovieLens latest-small: few users, so that a run is short.

Aim: above first-order Markov on the same targets, which the final table prints.
Data: 706 users, 8,552 items, 100,023 interactions; columns user_id, item_id, timestamp.
Command: `adarec run --scene ml_latest_small --data interactions.csv.gz`.
"""

from adarec_tf.config.data import DataConfig
from adarec_tf.config.pipeline import PipelineConfig

ML_LATEST_SMALL = PipelineConfig(
    scene="ml_latest_small",
    data=DataConfig(max_length=100, windows="last"),
)
