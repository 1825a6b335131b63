"""The teachers by name. A new one is a module beside this and one line in `TEACHERS`."""

import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf

from adarec_tf.config import TeacherConfig
from adarec_tf.teachers.nextitnet import NextItNet

TEACHERS: dict[str, Callable[..., keras.Model]] = {"nextitnet": NextItNet}


def build_teacher(
    config: TeacherConfig, num_items: int, max_length: int, *, seed: int
) -> keras.Model:
    """Builds the teacher that a config names, with fresh weights.

    Args:
      config: its name and sizes.
      num_items: items of the catalogue; ids are 1..num_items.
      max_length: items of a history it sees.
      seed: of the initial weights.

    Returns:
      A built model that keeps the contract of `adarec_tf.sequence_model`.

    Raises:
      ValueError: no teacher has this name.
    """
    if config.name not in TEACHERS:
        raise ValueError(
            f"`teacher.name` should be one of {', '.join(sorted(TEACHERS))}. "
            f"Received: teacher.name={config.name!r}."
        )
    keras.utils.set_random_seed(seed)
    arguments = dataclasses.asdict(config)
    name = arguments.pop("name")
    model = TEACHERS[name](num_items=num_items, max_length=max_length, **arguments)
    model(tf.zeros([1, 1], tf.int64))
    return model
