import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving import loaded_model
from serving.errors import ModelError
from serving.loaded_model import WARMUP_FILE, LoadedModel, load_model


def predict_log(item_id: str) -> bytes:
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.name = "student"
    request.inputs["history"].CopyFrom(tf.make_tensor_proto([[item_id]]))
    request.inputs["k"].CopyFrom(tf.make_tensor_proto(1))
    request.inputs["exclude_seen"].CopyFrom(tf.make_tensor_proto(True))
    return log.SerializeToString()


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
            [
                prediction_log_pb2.PredictionLog(
                    classify_log=prediction_log_pb2.ClassifyLog()
                ).SerializeToString()
            ],
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
