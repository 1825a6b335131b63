"""What each operation costs, measured, and what the architecture now believed in would cost."""

import time
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.compute_cost import count_macs
from adarec_tf.search.alphas import OPERATIONS
from adarec_tf.students.primitives import PRIMITIVES

_NUM_TIMED_CALLS = 50
_NUM_WARMUP_CALLS = 5


class PrimitiveCost(NamedTuple):
    """One operation on one sequence of `max_length` states.

    Attributes:
      parameters: weights it has.
      macs: multiply-adds.
      latency_ms: median time of a call as a graph on this machine, batch 1.
    """

    parameters: int
    macs: int
    latency_ms: float


def measure_costs(hidden_dim: int, max_length: int) -> dict[str, PrimitiveCost]:
    """Measures every primitive at the scene's size.

    Args:
      hidden_dim: D of the student.
      max_length: L of the scene.

    Returns:
      Primitive name to its cost.
    """
    return {name: _measure(name, hidden_dim, max_length) for name in OPERATIONS}


def _measure(name: str, hidden_dim: int, max_length: int) -> PrimitiveCost:
    layer = PRIMITIVES[name].build()
    states = tf.random.stateless_normal([1, max_length, hidden_dim], [1, 1])
    mask = tf.ones([1, max_length, 1])
    layer.build(states.shape)
    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in (states, mask)]
    call = tf.function(lambda s, m: layer(s, m), input_signature=specs)
    return PrimitiveCost(
        parameters=sum(int(np.prod(v.shape)) for v in layer.weights),
        macs=count_macs(lambda s, m: layer(s, m), specs),
        latency_ms=_median_ms(lambda: call(states, mask)),
    )


def _median_ms(call: Callable[[], object]) -> float:
    durations = []
    for _ in range(_NUM_WARMUP_CALLS + _NUM_TIMED_CALLS):
        start = time.perf_counter()
        call()
        durations.append(1e3 * (time.perf_counter() - start))
    return float(np.median(durations[_NUM_WARMUP_CALLS:]))


class EncoderCost(NamedTuple):
    """What the operations' costs are measured against: the teacher without its tables.

    Attributes:
      parameters: weights of the encoder.
      macs: multiply-adds of one sequence of `max_length` items.
      latency_ms: median time of the encoder as a graph on this machine, batch 1.
    """

    parameters: int
    macs: int
    latency_ms: float


def measure_encoder(model: keras.Model, max_length: int) -> EncoderCost:
    """Measures a sequence model's encoder, for one full history.

    Args:
      model: a built sequence model.
      max_length: L.

    Returns:
      Its cost, scoring of the catalogue left out.
    """
    item_ids = tf.ones([1, max_length], tf.int64)
    spec = tf.TensorSpec(item_ids.shape, item_ids.dtype)
    call = tf.function(lambda ids: model(ids, training=False).final_states, input_signature=[spec])
    tables = sum(int(np.prod(v.shape)) for v in model.sequence_embedding.weights)
    return EncoderCost(
        parameters=model.count_params() - tables,
        macs=count_macs(lambda ids: model(ids, training=False).final_states, [spec]),
        latency_ms=_median_ms(lambda: call(item_ids)),
    )


def relative_costs(
    costs: dict[str, PrimitiveCost],
    teacher: EncoderCost,
    *,
    num_cells: int,
    latency_share: float,
) -> np.ndarray:
    """The price of an operation on one edge of every cell, in units of the teacher's encoder.

    Args:
      costs: of each primitive.
      teacher: the unit: 1 is as many parameters, multiply-adds and milliseconds.
      num_cells: cells that get the operation.
      latency_share: weight of latency; parameters and multiply-adds share the rest equally.

    Returns:
      float32 [O], in the order of `OPERATIONS`.
    """
    counted = (1.0 - latency_share) / 2.0
    prices = [
        counted * costs[name].parameters / teacher.parameters
        + counted * costs[name].macs / teacher.macs
        + latency_share * costs[name].latency_ms / teacher.latency_ms
        for name in OPERATIONS
    ]
    return np.asarray(prices, np.float32) * num_cells


def expected_cost(alphas: tf.Tensor, prices: tf.Tensor) -> tf.Tensor:
    """Expected price of a sampled architecture, differentiable in the alphas.

    Args:
      alphas: float32 [E, O].
      prices: float32 [O].

    Returns:
      Scalar float32, in units of the teacher's encoder.

    Reference:
      Chen et al., arXiv:2107.07173v2, section 3.2, with measured prices in place of constants.
    """
    return tf.reduce_sum(tf.nn.softmax(alphas) * prices)
