"""Request batching: concurrent requests of one kind become one run of the model.

A request waits only while another run of its kind is under way, so that one caller alone loses
nothing. Requests are of one kind if model, version, signature and outputs are the same, their
scalars (`k`, `exclude_seen`) are equal, and their other inputs can be joined along the first axis.
"""

import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2

from serving.errors import ModelError
from serving.loaded_model import LoadedModel, SignatureCall

_Outputs = dict[str, Any]


@dataclass(eq=False)
class _Batch:
    """Requests to be run together, and their answers in the same order."""

    calls: list[SignatureCall] = field(default_factory=list)
    answers: Future[list[_Outputs]] = field(default_factory=Future)
    num_rows: int = 0


class Batcher:
    """Runs requests together. Safe to use from many threads; each waits for its own answer.

    Args:
      max_rows: rows (histories) of one run at most; a request with as many or more runs alone.
      max_wait_s: how long a request waits at most for others to join it.
      padded_inputs: names of string inputs [B, N] that may differ in N: they are padded on the left
        with "", which should mean nothing to the model.
      report_rows: told the rows of every run.
    """

    def __init__(
        self,
        max_rows: int,
        max_wait_s: float,
        padded_inputs: Collection[str] = (),
        report_rows: Callable[[int], None] = lambda num_rows: None,
    ) -> None:
        self._padded_inputs = padded_inputs
        self._max_rows = max_rows
        self._max_wait_s = max_wait_s
        self._report_rows = report_rows
        self._changed = threading.Condition()
        self._open: dict[Any, _Batch] = {}
        self._num_running: dict[Any, int] = {}

    def run(self, model: LoadedModel, call: SignatureCall) -> _Outputs:
        """Does what `model.run(call)` does, for several requests at once if that can be.

        Args:
          model: the version that answers.
          call: the checked request.

        Raises:
          ModelError: the graph failed on this request.
        """
        batched = batched_inputs(model.signature_defs[call.signature_name])
        num_rows = _count_rows(call, batched)
        if not 0 < num_rows < self._max_rows:
            return model.run(call)
        key = (model, call.signature_name, tuple(call.outputs), self._kind(call, batched))
        batch, position = self._join(key, call, num_rows)
        if position == 0:
            self._lead(key, batch, model, batched)
        try:
            return batch.answers.result()[position]
        except ModelError:
            if len(batch.calls) == 1:
                raise
            return model.run(call)  # the error of one request is not the others'

    def _kind(self, call: SignatureCall, batched: frozenset[str]) -> tuple[Any, ...]:
        """Equal for requests that can be joined."""
        kind: list[Any] = []
        for name, array in sorted(call.inputs.items()):
            if name not in batched:
                kind.append((name, array.shape, tuple(array.ravel().tolist())))
            elif name in self._padded_inputs and array.dtype == object and array.ndim == 2:
                kind.append((name, "padded"))
            else:
                kind.append((name, array.shape[1:]))
        return tuple(kind)

    def _join(self, key: Any, call: SignatureCall, num_rows: int) -> tuple[_Batch, int]:
        """Adds a request to the open batch of its kind, or to a new one as the first."""
        with self._changed:
            batch = self._open.get(key)
            if batch is None or batch.num_rows + num_rows > self._max_rows:
                batch = self._open[key] = _Batch()
            batch.calls.append(call)
            batch.num_rows += num_rows
            if batch.num_rows == self._max_rows:
                del self._open[key]
            self._changed.notify_all()
            return batch, len(batch.calls) - 1

    def _lead(self, key: Any, batch: _Batch, model: LoadedModel, batched: frozenset[str]) -> None:
        """Waits for others, then runs the batch; whatever happens, nobody waits for ever."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._open.get(key) is not batch or not self._num_running.get(key),
                timeout=self._max_wait_s,
            )
            if self._open.get(key) is batch:
                del self._open[key]
            self._num_running[key] = self._num_running.get(key, 0) + 1
        try:
            self._report_rows(batch.num_rows)
            batch.answers.set_result(_run_together(model, batch, batched))
        except Exception as error:
            batch.answers.set_exception(error)
        finally:
            with self._changed:
                self._num_running[key] -= 1
                if not self._num_running[key]:
                    del self._num_running[key]
                self._changed.notify_all()


def batched_inputs(signature: meta_graph_pb2.SignatureDef) -> frozenset[str]:
    """Inputs whose first axis is the batch; none if requests cannot be joined and parted again."""
    if not all(map(_has_open_first_axis, signature.outputs.values())):
        return frozenset()
    return frozenset(name for name, info in signature.inputs.items() if _has_open_first_axis(info))


def _has_open_first_axis(info: meta_graph_pb2.TensorInfo) -> bool:
    return [dim.size for dim in info.tensor_shape.dim][:1] == [-1]


def _count_rows(call: SignatureCall, batched: frozenset[str]) -> int:
    """Rows of a request; 0 if its inputs have no batch, or disagree (for the graph to refuse)."""
    arrays = [call.inputs[name] for name in batched]
    sizes = {array.shape[0] if array.ndim else 0 for array in arrays}
    return sizes.pop() if len(sizes) == 1 else 0


def _run_together(model: LoadedModel, batch: _Batch, batched: frozenset[str]) -> list[_Outputs]:
    """The answers of one run; of one run each, if its outputs cannot be parted."""
    first = batch.calls[0]
    if len(batch.calls) == 1:
        return [model.run(first)]
    joined = {name: _join_rows([call.inputs[name] for call in batch.calls]) for name in batched}
    outputs = model.run(first._replace(inputs={**first.inputs, **joined}))
    if any(len(array) != batch.num_rows for array in outputs.values()):
        return [model.run(call) for call in batch.calls]
    ends = np.cumsum([_count_rows(call, batched) for call in batch.calls])
    return [
        {name: array[begin:end] for name, array in outputs.items()}
        for begin, end in zip([0, *ends], ends, strict=False)
    ]


def _join_rows(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Joins along the first axis; what differs in its second is padded on the left with ""."""
    if len({array.shape[1:] for array in arrays}) == 1:
        return np.concatenate(arrays)
    width = max(array.shape[1] for array in arrays)
    joined = np.full((sum(map(len, arrays)), width), b"", dtype=object)
    end = 0
    for array in arrays:
        joined[end : end + len(array), width - array.shape[1] :] = array
        end += len(array)
    return joined
