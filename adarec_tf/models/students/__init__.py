"""Students: the search space's operations, genotypes, and the networks they describe."""

import keras
import tensorflow as tf

from adarec_tf.config.student import StudentConfig
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.models.students.student import Student

__all__ = ["Genotype", "Student", "build_student", "student_config_of"]


def student_config_of(genotype: Genotype, config: StudentConfig) -> StudentConfig:
    """The config of a genotype's student: a width that was searched goes before the config's.

    Args:
      genotype: may have a width.
      config: of the student.

    Raises:
      ValueError: the config does not go with that width.
    """
    return config.replace(hidden_dim=genotype.hidden_dim or config.hidden_dim)


def build_student(
    genotype: Genotype, config: StudentConfig, num_items: int, max_length: int, *, seed: int
) -> Student:
    """Builds the student of a genotype, with fresh weights.

    Args:
      genotype: its architecture; the number of cells and nodes is the genotype's.
      config: width, where the genotype has none of its own, dropout and precision.
      num_items: items of the catalog; ids are 1..num_items.
      max_length: items of a history it sees.
      seed: of the initial weights.

    Returns:
      A built model.
    """
    config = student_config_of(genotype, config)
    keras.utils.set_random_seed(seed)
    student = Student(
        genotype=genotype,
        num_items=num_items,
        max_length=max_length,
        hidden_dim=config.hidden_dim,
        dropout=config.dropout,
        precision=config.precision,
    )
    student(tf.zeros([1, 1], tf.int64))
    return student
