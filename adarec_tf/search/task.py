"""What a search is given: the same for every width that it goes through."""

from typing import NamedTuple

import keras
import tensorflow as tf

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.search import SearchConfig
from adarec_tf.data.histories.histories import Histories
from adarec_tf.distillation.ensemble import EnsembleTeacher
from adarec_tf.distillation.teacher_cache import MAX_CACHE_BYTES


class SearchTask(NamedTuple):
    """What a search is given, besides the students that it chooses from.

    Attributes:
      teacher: a trained sequence model, or several; its losses guide the search.
      halves: of the training users, for the weights and for the alphas.
      valid: histories whose targets rank candidates.
      search: rates, epochs, weight of the cost.
      distillation: the terms of the loss.
      seen: `exclude` or `keep`, for the validation metric.
      seed: of weights, draws and batches.
      cache_dir: where the teacher's outputs are kept for the search.
      strategy: whose replicas share every batch; by default there is one.
      compute_dtype: of the catalog logits.
      max_cache_bytes: of the teacher's outputs that are kept.
    """

    teacher: keras.Model | EnsembleTeacher
    halves: tuple[Histories, Histories]
    valid: Histories
    search: SearchConfig
    distillation: DistillationConfig
    seen: str
    seed: int
    cache_dir: str
    strategy: tf.distribute.Strategy = tf.distribute.get_strategy()
    compute_dtype: str = "float32"
    max_cache_bytes: int = MAX_CACHE_BYTES
