"""Scene-adaptive knowledge distillation (AdaRec) for sequential recommenders, in Keras."""

__version__ = "0.1.0"
