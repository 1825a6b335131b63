"""Scene-adaptive knowledge distillation (AdaRec) for sequential recommenders, on TensorFlow/Keras."""

__version__ = "0.1.0"
