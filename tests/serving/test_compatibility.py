import grpc
import pytest
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from serving.compatibility import check_replaces
from serving.loaded_model import ModelError

INPUTS = {"history": ("DT_STRING", 2), "k": ("DT_INT32", 0)}
OUTPUTS = {"item_ids": ("DT_STRING", 2), "scores": ("DT_FLOAT", 2)}


def signatures(inputs, outputs, name="serving_default") -> dict[str, meta_graph_pb2.SignatureDef]:
    message = meta_graph_pb2.SignatureDef()
    for tensors, infos in ((inputs, message.inputs), (outputs, message.outputs)):
        for key, (dtype, rank) in tensors.items():
            infos[key].dtype = types_pb2.DataType.Value(dtype)
            for _ in range(rank):
                infos[key].tensor_shape.dim.add(size=-1)
            infos[key].tensor_shape.SetInParent()
    return {name: message}


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (signatures(INPUTS, OUTPUTS), signatures(INPUTS, OUTPUTS)),
        (signatures(INPUTS, {**OUTPUTS, "more": ("DT_FLOAT", 1)}), signatures(INPUTS, OUTPUTS)),
        (signatures({}, {}), {}),
        (signatures({}, {}), signatures(INPUTS, OUTPUTS, "another")),
    ],
    ids=["the same", "one more output", "nothing before", "no default signature before"],
)
def test_what_answers_the_same_requests_is_fine(new, old):
    check_replaces(new, old)


@pytest.mark.parametrize(
    "new",
    [
        {},
        signatures(INPUTS, OUTPUTS, "another"),
        signatures({**INPUTS, "exclude_seen": ("DT_BOOL", 0)}, OUTPUTS),
        signatures({"k": INPUTS["k"]}, OUTPUTS),
        signatures({**INPUTS, "history": ("DT_INT64", 2)}, OUTPUTS),
        signatures({**INPUTS, "history": ("DT_STRING", 1)}, OUTPUTS),
        signatures(INPUTS, {"scores": OUTPUTS["scores"]}),
        signatures(INPUTS, {**OUTPUTS, "scores": ("DT_DOUBLE", 2)}),
    ],
)
def test_what_does_not_is_refused_with_both_sides(new):
    with pytest.raises(ModelError, match=r"history string\[\?, \?\], k int32\[\]") as failure:
        check_replaces(new, signatures(INPUTS, OUTPUTS))
    assert failure.value.code == grpc.StatusCode.FAILED_PRECONDITION
    assert "Received: inputs" in failure.value.message
