"""From a trained sequence model to a bundle that TensorFlow Serving loads, and what it costs."""
