import grpc
import pytest
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from serving.errors import ModelError
from serving.model_versions import check_replaces

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


DEFAULT = signatures(INPUTS, OUTPUTS)
STEP = signatures({"item": ("DT_STRING", 1)}, {"session": ("DT_FLOAT", 2)}, "step")
INITIALIZATION = signatures({}, {"init": ("DT_INVALID", 0)}, "__saved_model_init_op")


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (DEFAULT, DEFAULT),
        (signatures(INPUTS, {**OUTPUTS, "more": ("DT_FLOAT", 1)}), DEFAULT),
        (DEFAULT | STEP, DEFAULT),
        (STEP, STEP),
        (DEFAULT, {}),
        (DEFAULT, DEFAULT | INITIALIZATION),
    ],
    ids=["the same", "one more output", "one more", "no default", "nothing before", "not asked"],
)
def test_what_answers_the_same_requests_is_fine(new, old):
    check_replaces(new, old)


@pytest.mark.parametrize(
    "new",
    [
        signatures({**INPUTS, "exclude_seen": ("DT_BOOL", 0)}, OUTPUTS),
        signatures({"k": INPUTS["k"]}, OUTPUTS),
        signatures({**INPUTS, "history": ("DT_INT64", 2)}, OUTPUTS),
        signatures({**INPUTS, "history": ("DT_STRING", 1)}, OUTPUTS),
        signatures(INPUTS, {"scores": OUTPUTS["scores"]}),
        signatures(INPUTS, {**OUTPUTS, "scores": ("DT_DOUBLE", 2)}),
    ],
)
@pytest.mark.parametrize("name", ["serving_default", "recommend_filtered"])
def test_what_does_not_is_refused_with_both_sides(name, new):
    old = STEP | signatures(INPUTS, OUTPUTS, name)
    [signature] = new.values()
    with pytest.raises(ModelError, match=r"history string\[\?, \?\], k int32\[\]") as failure:
        check_replaces(STEP | {name: signature}, old)
    assert failure.value.code == grpc.StatusCode.FAILED_PRECONDITION
    assert f"signature {name!r} should answer" in failure.value.message
    assert "Received: inputs" in failure.value.message


def test_a_missing_signature_is_refused_by_name_and_with_a_way_out():
    with pytest.raises(ModelError) as failure:
        check_replaces(DEFAULT | INITIALIZATION, DEFAULT | STEP)
    assert failure.value.code == grpc.StatusCode.FAILED_PRECONDITION
    for part in (
        "The signature 'step' should answer",
        "Received: signatures serving_default.",
        "under another name, or, once no client asks 'step' any more, start the server anew",
    ):
        assert part in failure.value.message
