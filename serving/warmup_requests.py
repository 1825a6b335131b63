"""The requests that a bundle brings: a served version answers them before anybody else's.

The first call of a graph is slow, and a graph that cannot answer its own example should not
replace one that can. TensorFlow Serving reads the same file; there too a bad record fails the load.
"""

from collections.abc import Iterator
from pathlib import Path

import grpc
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from serving.errors import ModelError, invalid_argument
from serving.loaded_model import LoadedModel

WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
MAX_WARMUP_RECORDS = 1000


def read_warmup_requests(bundle: Path) -> Iterator[predict_pb2.PredictRequest]:
    """The requests of a bundle's warm-up file, in order.

    Raises:
      ModelError: the file cannot be read, is damaged, or holds other records.
    """
    file = bundle / WARMUP_FILE
    try:
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            log = prediction_log_pb2.PredictionLog.FromString(record)
            if log.WhichOneof("log_type") != "predict_log":
                message = "Warm-up records should be predict logs, the one kind that is known here."
                raise ModelError(grpc.StatusCode.UNIMPLEMENTED, message)
            yield log.predict_log.request
    except (tf.errors.OpError, DecodeError) as error:
        message = f"{file} should be a TFRecord file of PredictionLog: {error}"
        raise ModelError(grpc.StatusCode.DATA_LOSS, message) from error


def replay_warmup_requests(model: LoadedModel, bundle: Path) -> None:
    """Has the model answer the recorded requests of its bundle.

    Args:
      model: the model loaded from the bundle.
      bundle: its folder; without a warm-up file nothing is asked.

    Raises:
      ModelError: the file is damaged or too long, or the model fails on a request.
    """
    file = bundle / WARMUP_FILE
    requests = read_warmup_requests(bundle) if file.exists() else ()
    for position, request in enumerate(requests):
        if position == MAX_WARMUP_RECORDS:
            raise invalid_argument(f"{file} should hold at most {MAX_WARMUP_RECORDS} records.")
        model.run(model.check(request))
