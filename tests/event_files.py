"""Reads what was written for TensorBoard, event by event: nothing is merged or dropped."""

from pathlib import Path

import tensorflow as tf

Points = dict[str, list[tuple[int, float]]]


def read_scalars(folder: Path) -> Points:
    """Name to its points (epoch, value), in the order of the files and of the events in them."""
    points: Points = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for serialized in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(serialized)
            for value in event.summary.value:
                scalar = float(tf.make_ndarray(value.tensor))
                points.setdefault(value.tag, []).append((event.step, scalar))
    return points
