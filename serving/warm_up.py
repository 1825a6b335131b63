"""Warm-up: replaying the requests a bundle carries before the version is served.

The first call of a graph is slow, and a graph that cannot answer its own example should not
replace one that can. The file and its limit are TensorFlow Serving's; there too a bad record fails
the load.
"""

from pathlib import Path

import grpc
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from serving.loaded_model import LoadedModel, ModelError

WARM_UP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
MAX_WARM_UP_RECORDS = 1000


def warm_up(model: LoadedModel, path: Path) -> int:
    """Sends the recorded requests of a bundle to the model.

    Args:
      model: the model loaded from `path`.
      path: the bundle's folder; without a warm-up file nothing is sent.

    Returns:
      Number of requests answered.

    Raises:
      ModelError: the file is damaged or too long, or the model fails on a request.
    """
    file = path / WARM_UP_FILE
    if not file.exists():
        return 0
    num_answered = 0
    try:
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            if num_answered == MAX_WARM_UP_RECORDS:
                message = f"{file} should hold at most {MAX_WARM_UP_RECORDS} records."
                raise ModelError(grpc.StatusCode.INVALID_ARGUMENT, message)
            _replay(model, record)
            num_answered += 1
    except (tf.errors.OpError, DecodeError) as error:
        message = f"{file} should be a TFRecord file of PredictionLog: {error}"
        raise ModelError(grpc.StatusCode.DATA_LOSS, message) from error
    return num_answered


def _replay(model: LoadedModel, record: bytes) -> None:
    log = prediction_log_pb2.PredictionLog.FromString(record)
    if log.WhichOneof("log_type") != "predict_log":
        message = "Warm-up records should be predict logs; the embedded server knows no other kind."
        raise ModelError(grpc.StatusCode.UNIMPLEMENTED, message)
    request = log.predict_log.request
    model.predict(
        request.model_spec.signature_name, dict(request.inputs), list(request.output_filter)
    )
