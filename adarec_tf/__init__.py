"""Scene-adaptive knowledge distillation (AdaRec) for sequential recommenders, on TensorFlow/Keras.

Importing this package before TensorFlow selects the legacy Keras for `tf.keras`: the models here
are Keras 3, but tensorflow-recommenders needs `tf.keras` to be Keras 2 to live in the same process.
"""

import os

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

__version__ = "0.1.0"
