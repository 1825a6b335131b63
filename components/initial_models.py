"""Models of an earlier run, from whose weights a training continues."""

import os

import keras

from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.export import bundle
from adarec_tf.training.warm_start import warm_start_from
from components.model_artifact import bundle_dir, read_keras_model


def continue_from_file(model: keras.Model, path: str, uri: str, vocabulary: ItemVocabulary) -> None:
    """Gives a model the weights of a Keras file of an earlier run.

    Args:
      model: built.
      path: the file.
      uri: the earlier run's `Model` artifact, which the file is in.
      vocabulary: of the model; it extends the earlier model's.

    Raises:
      ValueError: ids mean other items there, or the architecture is another.
    """
    earlier = os.path.join(bundle_dir(uri), "assets", bundle.VOCABULARY_FILE)
    vocabulary.check_extends(ItemVocabulary.read(earlier))
    warm_start_from(model, read_keras_model(path))
