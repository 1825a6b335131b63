"""Reading and writing a `Model` artifact: served bundle, Keras model, training history."""

import json
import os
from collections.abc import Sequence

import keras
from tfx.dsl.io import fileio

import adarec_tf.models.students
import adarec_tf.models.teachers  # noqa: F401  (both register their Keras classes for loading)
from adarec_tf.data.histories.histories import Histories, raw_histories
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.distillation.ensemble import EnsembleTeacher
from adarec_tf.export.bundle import write_bundle
from components.artifacts import (
    BUNDLE_DIR,
    KERAS_MODEL_FILE,
    MEMBER_MODEL_FILE,
    TRAINING_HISTORY_FILE,
    VOCABULARY_FILE,
)

# The warm-up of a server needs a history of every shape that is common, not many of them.
_NUM_WARMUP_HISTORIES = 8


def read_vocabulary(uri: str) -> ItemVocabulary:
    """Reads a `Vocabulary` artifact."""
    return ItemVocabulary.read(os.path.join(uri, VOCABULARY_FILE))


def read_model(uri: str) -> keras.Model:
    """Loads the Keras model of a `Model` artifact."""
    return read_keras_model(os.path.join(uri, KERAS_MODEL_FILE))


def teacher_files(uri: str) -> list[str]:
    """The Keras files of the teachers in a `Model` artifact: one, or those of an ensemble.

    Where `uri` is empty there is no artifact, and no file.
    """
    if not uri:
        return []
    members = fileio.glob(os.path.join(uri, MEMBER_MODEL_FILE.format(number="*")))
    return [os.path.join(uri, KERAS_MODEL_FILE), *sorted(members)]


def read_teachers(uri: str) -> list[keras.Model]:
    """Loads the teachers in a `Model` artifact, that of the bundle first."""
    return [read_keras_model(path) for path in teacher_files(uri)]


def read_teacher(uri: str) -> keras.Model | EnsembleTeacher:
    """Loads what teaches a student: the model of a `Model` artifact, or all of an ensemble."""
    teachers = read_teachers(uri)
    return teachers[0] if len(teachers) == 1 else EnsembleTeacher(teachers)


def read_keras_model(path: str) -> keras.Model:
    """Loads one of our Keras models from its file."""
    return keras.saving.load_model(path, compile=False)


def bundle_dir(uri: str) -> str:
    """Where the bundle of a `Model` artifact is."""
    return os.path.join(uri, BUNDLE_DIR)


def read_earlier(uri: str, vocabulary: ItemVocabulary) -> list[keras.Model]:
    """Loads the models of an earlier run, from whose weights a training continues.

    Args:
      uri: the earlier run's `Model` artifact; "" is none.
      vocabulary: of the training; it extends the earlier one.

    Returns:
      The model, or all of an ensemble; nothing where there is no earlier run.

    Raises:
      ValueError: ids mean other items there.
    """
    if not uri:
        return []
    earlier = os.path.join(bundle_dir(uri), "assets", VOCABULARY_FILE)
    vocabulary.check_extends(ItemVocabulary.read(earlier))
    return read_teachers(uri)


def write_model(
    uri: str,
    model: keras.Model,
    training_history: Sequence[dict[str, float]],
    *,
    statistics: SequenceStatistics,
    vocabulary: ItemVocabulary,
    test: Histories,
    manifest: dict[str, str | int],
    genotype_json: str | None = None,
) -> None:
    """Writes a `Model` artifact.

    Args:
      uri: the artifact's folder.
      model: a trained sequence model.
      training_history: one record an epoch.
      statistics: of the sequences it was trained on.
      vocabulary: the items it knows.
      test: where the warm-up requests of the bundle come from.
      manifest: what made the model; stored in the bundle.
      genotype_json: the architecture, for a student.
    """
    write_bundle(
        model,
        vocabulary,
        bundle_dir(uri),
        max_length=statistics.max_length,
        seen=statistics.seen,
        genotype_json=genotype_json,
        manifest={**manifest, "data_fingerprint": statistics.data_fingerprint},
        warmup_histories=raw_histories(test, vocabulary, _NUM_WARMUP_HISTORIES),
    )
    model.vocabulary_fingerprint = vocabulary.fingerprint
    model.save(os.path.join(uri, KERAS_MODEL_FILE))
    with fileio.open(os.path.join(uri, TRAINING_HISTORY_FILE), "w") as file:
        file.write(json.dumps(list(training_history), indent=2) + "\n")
