"""Whether a version answers the requests of the one it replaces, by their signatures.

A SavedModel of another schema loads, and then fails every request. The real server would serve it;
this one keeps the old version and says why in the new one's status.
"""

from collections.abc import Mapping

import grpc
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from serving.errors import ModelError

# Not for requests: what loading runs.
_INITIALIZATION = "__saved_model_init_op"

_Signatures = Mapping[str, meta_graph_pb2.SignatureDef]


def check_replaces(new: _Signatures, old: _Signatures) -> None:
    """Checks that requests to every old signature can be asked of the new ones.

    Inputs have to be the same in name, dtype and rank; no output may be missing or of another dtype
    or rank. More outputs and more signatures are fine.

    No signature is exempt. `step`, say, is there for students alone, and a teacher in a student's
    place would fail every session: whoever wants that says so by a restart or another name.

    Raises:
      ModelError: FAILED_PRECONDITION, with what differs and what to do.
    """
    for name in sorted(set(old) - {_INITIALIZATION}):
        _check_signature(name, new, old[name])


def _check_signature(name: str, new: _Signatures, wanted: meta_graph_pb2.SignatureDef) -> None:
    given = new.get(name, meta_graph_pb2.SignatureDef())
    has_outputs = _describe(wanted.outputs) <= _describe(given.outputs)
    if name in new and has_outputs and _describe(wanted.inputs) == _describe(given.inputs):
        return
    received = f"inputs {_list(given.inputs)}, outputs {_list(given.outputs)}"
    if name not in new:
        received = f"signatures {', '.join(sorted(set(new) - {_INITIALIZATION})) or 'none'}"
    raise ModelError(
        grpc.StatusCode.FAILED_PRECONDITION,
        f"The signature {name!r} should answer the requests of the version being served: inputs "
        f"{_list(wanted.inputs)}, outputs {_list(wanted.outputs)}. Received: {received}. Push a "
        "model that answers them, serve this one under another name, or, once no client asks "
        f"{name!r} any more, start the server anew.",
    )


def _describe(tensors: Mapping[str, meta_graph_pb2.TensorInfo]) -> set[str]:
    """Name, dtype and rank of each, such as `history string[?, ?]`."""
    return {
        f"{name} {types_pb2.DataType.Name(info.dtype).removeprefix('DT_').lower()}"
        f"[{', '.join('?' for _ in info.tensor_shape.dim)}]"
        for name, info in tensors.items()
    }


def _list(tensors: Mapping[str, meta_graph_pb2.TensorInfo]) -> str:
    return ", ".join(sorted(_describe(tensors))) or "none"
