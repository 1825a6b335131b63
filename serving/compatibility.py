"""Whether a version answers the requests of the one it replaces, by their signatures.

A SavedModel of another schema loads, and then fails every request. The real server would serve it;
this one keeps the old version and says why in the new one's status.
"""

from collections.abc import Mapping, Sequence

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
    or rank. More outputs and more signatures are fine. No signature is exempt. `step`, say, is
    there for students alone, and a teacher in a student's place would fail every session: whoever
    wants that says so by a restart or another name.

    Args:
      new: signatures of a version that would be served.
      old: signatures of the version it replaces.

    Raises:
      ModelError: FAILED_PRECONDITION, with what differs and what to do.
    """
    new_names = sorted(set(new) - {_INITIALIZATION})
    for name in sorted(set(old) - {_INITIALIZATION}):
        given = new.get(name, meta_graph_pb2.SignatureDef())
        inputs, outputs = _describe(given.inputs), _describe(given.outputs)
        wanted, wanted_outputs = _describe(old[name].inputs), _describe(old[name].outputs)
        if name in new and inputs == wanted and set(wanted_outputs) <= set(outputs):
            continue
        received = f"inputs {_list(inputs)}, outputs {_list(outputs)}"
        if name not in new:
            received = f"signatures {_list(new_names)}"
        raise ModelError(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"The signature {name!r} should answer the requests of the version being served: "
            f"inputs {_list(wanted)}, outputs {_list(wanted_outputs)}. Received: {received}. Push "
            "a model that answers them, serve this one under another name, or, once no client "
            f"asks {name!r} any more, start the server anew.",
        )


def _describe(tensors: Mapping[str, meta_graph_pb2.TensorInfo]) -> list[str]:
    """Name, dtype and rank of each, such as `history string[?, ?]`, in alphabetical order."""
    return sorted(
        f"{name} {types_pb2.DataType.Name(info.dtype).removeprefix('DT_').lower()}"
        f"[{', '.join('?' for _ in info.tensor_shape.dim)}]"
        for name, info in tensors.items()
    )


def _list(parts: Sequence[str]) -> str:
    return ", ".join(parts) or "none"
