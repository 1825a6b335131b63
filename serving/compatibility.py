"""Whether a version answers the requests of the one it replaces, by their signatures.

A SavedModel of another schema loads, and then fails every request. The real server would serve it;
this one keeps the old version and says why in the new one's status.
"""

from collections.abc import Mapping

import grpc
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from serving.loaded_model import DEFAULT_SIGNATURE, ModelError

_Signatures = Mapping[str, meta_graph_pb2.SignatureDef]


def check_replaces(new: _Signatures, old: _Signatures) -> None:
    """Checks that requests to the old default signature can be asked of the new one.

    Inputs have to be the same in name, dtype and rank; no output may be missing or of another dtype
    or rank, more outputs are fine.

    Raises:
      ModelError: FAILED_PRECONDITION, with what differs.
    """
    if DEFAULT_SIGNATURE not in old:
        return
    wanted = old[DEFAULT_SIGNATURE]
    given = new.get(DEFAULT_SIGNATURE, meta_graph_pb2.SignatureDef())
    missing_outputs = sorted(_describe(wanted.outputs) - _describe(given.outputs))
    changed_inputs = sorted(_describe(wanted.inputs) ^ _describe(given.inputs))
    if missing_outputs or changed_inputs:
        raise ModelError(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"The signature {DEFAULT_SIGNATURE!r} should answer the requests of the version being "
            f"served: inputs {_list(wanted.inputs)}, outputs {_list(wanted.outputs)}. Received: "
            f"inputs {_list(given.inputs)}, outputs {_list(given.outputs)}. Serve it under another "
            "name, or start the server anew.",
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
