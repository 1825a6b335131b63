"""What a model costs: parameters, multiply-adds, and the latency of its bundle on this machine."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.compute_cost import count_macs
from adarec_tf.export.bundle import read_manifest
from adarec_tf.export.model_session import ModelSession
from adarec_tf.export.signatures import SIGNATURE
from adarec_tf.export.warm_up import request_arrays
from adarec_tf.sequence_model import SequenceModel
from adarec_tf.students import Student
from adarec_tf.students.served import ServedStudent

_WARMUP_REQUESTS = 10


class ParameterCount(NamedTuple):
    """The size of a model.

    Attributes:
      total: floats of the model.
      embedding: floats of its item and position tables.
      table_bytes: what serving reads of the item table, in bytes; codes are no floats.
    """

    total: int
    embedding: int
    table_bytes: int


class Latency(NamedTuple):
    """Milliseconds of one request with one history, in process."""

    p50_ms: float
    p99_ms: float


def count_parameters(model: SequenceModel) -> ParameterCount:
    """Counts the floats a model is made of, trainable or not; dropout's seeds are integers."""
    embedding = model.sequence_embedding
    return ParameterCount(
        _num_floats(model.variables),
        _num_floats(embedding.variables),
        embedding.item_table.served_bytes,
    )


def served_bytes(model: SequenceModel) -> int:
    """Size of the weights that serving reads, in bytes; a bundle adds its graph and vocabulary."""
    embedding = model.sequence_embedding
    counts = count_parameters(model)
    num_places = embedding.max_length if embedding.use_positions else 0
    num_floats = counts.total - counts.embedding + num_places * embedding.hidden_dim
    cells = model.cells if isinstance(model, Student) else ()
    operations = [operation for cell in cells for operation in cell.operations]
    num_saved = sum(4 * _num_floats(o.variables) - o.served_bytes for o in operations)
    return 4 * num_floats - num_saved + counts.table_bytes


def encoder_macs(model: SequenceModel, max_length: int) -> int:
    """Multiply-adds of encoding one full history; scoring the catalogue is not included.

    Matrix products and convolutions count, as is usual; element-wise work does not.

    Args:
      model: the sequence model.
      max_length: items of the history.
    """

    def encode(item_ids: tf.Tensor) -> tf.Tensor:
        return model(item_ids, training=False).final_states

    return count_macs(encode, [tf.TensorSpec([1, max_length], tf.int64)])


def served_macs(model: SequenceModel, max_length: int) -> int:
    """Multiply-adds of the encoder in one request with a full history, as the bundle computes it.

    A student computes the cone of the last position alone; a bundle of any other model all of them.

    Args:
      model: the sequence model.
      max_length: items of the history.
    """
    if not isinstance(model, Student):
        return encoder_macs(model, max_length)
    encoder = ServedStudent(model, max_length)

    def encode(latest_ids: tf.Tensor) -> tf.Tensor:
        return encoder.last_states(latest_ids, tf.constant([[max_length]], tf.int64))

    return count_macs(encode, [tf.TensorSpec([1, encoder.num_latest], tf.int64)])


def measure_latency(
    bundle_dir: str, histories: Sequence[Sequence[str]], *, k: int, num_requests: int
) -> Latency:
    """Times the served function on single histories, one after the other, after a warm-up.

    It is run by a session, as a server does it.

    Args:
      bundle_dir: the bundle; asked with its own default for seen items.
      histories: raw item keys of real users, cycled over.
      k: items asked for.
      num_requests: how many calls to time.

    Raises:
      ValueError: there are no histories, or `num_requests` is below 1.
    """
    if not histories or num_requests < 1:
        raise ValueError(
            "Latency should be measured on at least one history and one request. "
            f"Received: {len(histories)} histories, num_requests={num_requests}."
        )
    exclude_seen = read_manifest(bundle_dir)["seen"] == "exclude"
    ask = ModelSession().load(bundle_dir)[SIGNATURE]
    # Made before: TensorFlow at work in between would have the model out of the caches.
    requests = [request_arrays([history], k, exclude_seen) for history in histories[:num_requests]]
    durations_ms = []
    for number in range(_WARMUP_REQUESTS + num_requests):
        request = requests[number % len(requests)]
        start = time.perf_counter()
        ask(request)
        durations_ms.append(1000 * (time.perf_counter() - start))
    p50_ms, p99_ms = np.percentile(durations_ms[_WARMUP_REQUESTS:], [50, 99])
    return Latency(float(p50_ms), float(p99_ms))


def _num_floats(variables: Sequence[keras.Variable]) -> int:
    return sum(int(np.prod(v.shape, dtype=np.int64)) for v in variables if "float" in v.dtype)
