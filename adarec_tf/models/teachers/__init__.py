"""The teachers by name: a new one is a module here, its config, and one line in `TEACHERS`."""

from collections.abc import Callable

import keras
import tensorflow as tf

from adarec_tf.config.teacher import BERT4RecConfig, NextItNetConfig, SASRecConfig, TeacherConfig
from adarec_tf.models.teachers.bert4rec import BERT4Rec
from adarec_tf.models.teachers.nextitnet import NextItNet
from adarec_tf.models.teachers.sasrec import SASRec

TEACHERS: dict[str, tuple[type[TeacherConfig], Callable[..., keras.Model]]] = {
    "nextitnet": (NextItNetConfig, NextItNet),
    "sasrec": (SASRecConfig, SASRec),
    "bert4rec": (BERT4RecConfig, BERT4Rec),
}


def build_teacher(
    config: TeacherConfig, num_items: int, max_length: int, *, seed: int
) -> keras.Model:
    """Builds the teacher that a config names, with fresh weights.

    Args:
      config: its name and sizes.
      num_items: items of the catalog; ids are 1..num_items.
      max_length: items of a history it sees.
      seed: of the initial weights.

    Returns:
      A built model that keeps the contract of `adarec_tf.models.sequence_model`.
    """
    keras.utils.set_random_seed(seed)
    arguments = dict(config)
    name = arguments.pop("name")
    model = TEACHERS[name][1](num_items=num_items, max_length=max_length, **arguments)
    model(tf.zeros([1, 1], tf.int64))
    return model
