import gc
import re
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from serving import loaded_model
from serving.errors import ModelError
from serving.loaded_model import WARMUP_FILE, LoadedModel, encode_outputs, load_model


@pytest.fixture
def model(bundle) -> LoadedModel:
    return load_model(bundle(3), version=3)


def inputs_of(history=(("i1", "i3"),), k=2, exclude_seen=True) -> dict[str, tensor_pb2.TensorProto]:
    return {
        "history": tf.make_tensor_proto(history, dtype=tf.string),
        "k": tf.make_tensor_proto(k, dtype=tf.int32),
        "exclude_seen": tf.make_tensor_proto(exclude_seen, dtype=tf.bool),
    }


def request_of(inputs=None, signature="", output_filter=()) -> predict_pb2.PredictRequest:
    return predict_pb2.PredictRequest(
        model_spec={"signature_name": signature},
        inputs=inputs_of() if inputs is None else inputs,
        output_filter=output_filter,
    )


def predict(model: LoadedModel, request: predict_pb2.PredictRequest):
    return encode_outputs(model.run(model.check(request)))


def code_of(action: Callable[[], object]) -> grpc.StatusCode:
    with pytest.raises(ModelError) as failure:
        action()
    assert failure.value.message
    return failure.value.code


def test_predict_answers_as_the_saved_function(model):
    outputs = predict(model, request_of())
    assert tf.make_ndarray(outputs["item_ids"]).tolist() == [[b"i2", b"i4"]]
    assert tf.make_ndarray(outputs["scores"]).tolist() == [[3007.0, 3005.0]]


def test_requests_leave_nothing_in_memory(model):
    call = model.check(request_of())
    for _ in range(50):
        model.run(call)
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(500):
        model.run(call)
    gc.collect()
    # Two a tensor, where values become tensors: 3,000.
    assert sys.getallocatedblocks() - before < 1000


def test_answers_use_typed_fields(model):
    outputs = predict(model, request_of(signature="serving_default"))
    assert list(outputs["scores"].float_val) == [3007.0, 3005.0]
    assert list(outputs["item_ids"].string_val) == [b"i2", b"i4"]


def test_output_filter_selects_outputs(model):
    assert set(predict(model, request_of(output_filter=["scores"]))) == {"scores"}


def test_an_empty_batch_is_answered(model):
    empty = {**inputs_of(), "history": tf.make_tensor_proto(np.empty((0, 1), object), tf.string)}
    outputs = predict(model, request_of(empty))
    assert tf.make_ndarray(outputs["scores"]).shape == (0, 2)


def test_unknown_signature_is_a_failed_precondition(model):
    action = lambda: predict(model, request_of(signature="nothing"))  # noqa: E731
    assert code_of(action) == grpc.StatusCode.FAILED_PRECONDITION


def test_a_shape_that_no_graph_should_see_is_an_invalid_argument(model):
    action = lambda: predict(model, request_of(inputs_of(history="i1")))  # noqa: E731
    assert code_of(action) == grpc.StatusCode.INVALID_ARGUMENT


def missing_input() -> dict[str, tensor_pb2.TensorProto]:
    inputs = inputs_of()
    del inputs["k"]
    return inputs


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param(missing_input(), id="missing input"),
        pytest.param({**inputs_of(), "z": tf.make_tensor_proto(1)}, id="extra input"),
        pytest.param({**inputs_of(), "k": tf.make_tensor_proto(2, tf.int64)}, id="wrong dtype"),
        pytest.param({**inputs_of(), "k": tensor_pb2.TensorProto()}, id="no dtype"),
        pytest.param(inputs_of(k=0), id="refused by the graph"),
    ],
)
def test_inputs_that_do_not_fit_are_invalid_arguments(model, inputs):
    assert code_of(lambda: predict(model, request_of(inputs))) == grpc.StatusCode.INVALID_ARGUMENT


def test_a_wrong_dtype_is_named_and_not_cast(model):
    inputs = {**inputs_of(), "k": tf.make_tensor_proto(2, tf.int64)}
    with pytest.raises(ModelError, match=r"'k' should be DT_INT32\. Received: DT_INT64"):
        predict(model, request_of(inputs))


@pytest.mark.parametrize("output_filter", [["nothing"], ["scores", "scores"]])
def test_output_filters_that_do_not_fit_are_invalid_arguments(model, output_filter):
    code = code_of(lambda: predict(model, request_of(output_filter=output_filter)))
    assert code == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ([2**40], "should have the shape"),
        ([2**32, 2**32], "at most 16777216 elements. Received: shape [4294967296, 4294967296]"),
        ([-1, 1], "no negative size. Received: shape [-1, 1]"),
        ([3, -(2**63)], "no negative size"),
        ([3, 3], "the values of its shape"),
    ],
)
def test_shapes_without_their_values_are_refused_before_they_take_memory(model, sizes, reason):
    proto = tf.make_tensor_proto(["a", "b"] * 5, dtype=tf.string)
    proto.tensor_shape.ClearField("dim")
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    with pytest.raises(ModelError, match=re.escape(reason)) as failure:
        predict(model, request_of({**inputs_of(), "history": proto}))
    assert failure.value.code == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("signature", "changed", "reason"),
    [
        ("serving_default", {"k": 0}, "assertion failed: [`k` should be a positive integer. ]"),
        (
            "score",
            {"candidates": [["a"], ["b"]]},
            "assertion failed: [`candidates` should have one row, or one for each history]",
        ),
        ("from_examples", {"examples": [b"\xff\xff"]}, "Could not parse example"),
    ],
)
def test_a_message_of_a_graph_is_told_without_its_nodes(
    contract_bundle, signature, changed, reason
):
    student = load_model(contract_bundle, 1)
    inputs = {"history": [["a"]], "k": 1, "exclude_seen": True, **changed}
    names = student.signature_defs[signature].inputs
    protos = {name: tf.make_tensor_proto(inputs[name]) for name in names}
    with pytest.raises(ModelError, match=re.escape(reason)) as failure:
        predict(student, request_of(protos, signature))
    assert failure.value.code == grpc.StatusCode.INVALID_ARGUMENT
    assert "{{" not in failure.value.message
    assert "\n" not in failure.value.message


@pytest.mark.parametrize(
    "around",
    [
        "{}\n\t [[{{{{node a/b}}}}]]",
        "{}\n\t [[{{{{function_node __inference_f_1}}}}{{{{node a/b}}}}]]",
        "{{{{function_node __inference_f_1}}}} {}\n\t [[{{{{node a}}}}]]\n\t [[b/_1]]",
        "2 root error(s) found. <stack traces unavailable>\n{} [[{{{{function_node f}}}}]]",
    ],
)
def test_whatever_tensorflow_puts_around_a_message_is_left_out(around):
    assert loaded_model._on_one_line(around.format("no\n such item")) == "no such item"


@pytest.mark.parametrize(("dtype", "is_small"), [(tf.int8, True), (tf.float32, False)])
def test_floats_alone_make_a_model_large(tmp_path, monkeypatch, dtype, is_small):
    model = tf.Module()
    model.table = tf.Variable(tf.zeros([1000], dtype))
    model.read = tf.function(lambda: {"sum": tf.reduce_sum(model.table)}, input_signature=[])
    tf.saved_model.save(model, str(tmp_path / "1"), signatures={"read": model.read})
    made = []
    monkeypatch.setattr(loaded_model, "_MIN_PARALLEL_BYTES", 1000)
    monkeypatch.setattr(loaded_model, "_function", lambda *arguments: made.append(arguments))
    load_model(tmp_path / "1", 1)
    assert [arguments[-1] for arguments in made] == [is_small]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda path: (path / "saved_model.pb").unlink(), grpc.StatusCode.NOT_FOUND),
        (lambda path: (path / "saved_model.pb").write_bytes(b""), grpc.StatusCode.NOT_FOUND),
        (lambda path: truncate(path / "saved_model.pb"), grpc.StatusCode.DATA_LOSS),
        (
            lambda path: truncate(path / "variables" / "variables.data-00000-of-00001"),
            grpc.StatusCode.OUT_OF_RANGE,
        ),
        (
            lambda path: (path / "variables").rename(path / "elsewhere"),
            grpc.StatusCode.NOT_FOUND,
        ),
    ],
    ids=["no graph", "empty graph", "truncated graph", "truncated variables", "no variables"],
)
def test_a_damaged_folder_fails_with_tensorflow_servings_code(tmp_path, publish, damage, code):
    path = publish(tmp_path, 1)
    damage(path)
    assert code_of(lambda: load_model(path, 1)) == code


def test_a_plain_file_is_a_failed_precondition(tmp_path):
    (tmp_path / "1").write_text("not a folder")
    assert code_of(lambda: load_model(tmp_path / "1", 1)) == grpc.StatusCode.FAILED_PRECONDITION


def predict_log(item_id: str) -> bytes:
    log = {"request": request_of(inputs_of([[item_id]], k=1))}
    return prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString()


def write_records(path, records) -> None:
    (path / WARMUP_FILE).parent.mkdir()
    with tf.io.TFRecordWriter(str(path / WARMUP_FILE)) as writer:
        for record in records:
            writer.write(record)


@pytest.fixture
def path(tmp_path, publish):
    return publish(tmp_path, 1)


def test_recorded_requests_are_answered(path, monkeypatch):
    histories = []
    run = LoadedModel.run

    def remember(model, call):
        histories.append(call.inputs["history"].tolist())
        return run(model, call)

    monkeypatch.setattr(LoadedModel, "run", remember)
    load_model(path, 1)
    assert histories == []
    write_records(path, [predict_log("i1"), predict_log("i2")])
    load_model(path, 1)
    assert histories == [[[b"i1"]], [[b"i2"]]]


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([predict_log("i1"), predict_log("broken")], grpc.StatusCode.INVALID_ARGUMENT),
        ([b"\xff\xff"], grpc.StatusCode.DATA_LOSS),
        (
            [prediction_log_pb2.PredictionLog(classify_log={}).SerializeToString()],
            grpc.StatusCode.UNIMPLEMENTED,
        ),
    ],
    ids=["failing request", "no PredictionLog", "other kind"],
)
def test_a_bad_record_fails_the_load(path, records, code):
    write_records(path, records)
    with pytest.raises(ModelError) as failure:
        load_model(path, 1)
    assert failure.value.code == code


def test_a_file_that_is_no_tfrecord_fails_the_load(path):
    (path / WARMUP_FILE).parent.mkdir()
    (path / WARMUP_FILE).write_bytes(b"anything but records")
    with pytest.raises(ModelError, match="should be a TFRecord file"):
        load_model(path, 1)


def test_too_many_records_fail_the_load(path, monkeypatch):
    monkeypatch.setattr(loaded_model, "MAX_WARMUP_RECORDS", 2)
    write_records(path, [predict_log("i1")] * 3)
    with pytest.raises(ModelError, match="should bring 2 warm-up requests at most"):
        load_model(path, 1)
