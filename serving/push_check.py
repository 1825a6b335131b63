"""Seeing a pushed version answer: the running server is asked what the bundle itself brings.

`python -m serving.push_check --server HOST:PORT --version N --bundle DIR` waits until the server
has loaded the version and sends it the bundle's warm-up requests. That a server calls a version
AVAILABLE proves nothing: one without its variables is, too, and then fails every request.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import grpc
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

from serving.calls import RecommendError
from serving.connection import open_channels, read_credentials
from serving.warm_up import WARM_UP_FILE

MAX_REQUESTS = 10
_REQUEST_TIMEOUT_S = 10.0
_LOOK_INTERVAL_S = 0.2
_State = get_model_status_pb2.ModelVersionStatus

# What a server answers that is starting, or has not yet looked at the folder.
_NOT_YET = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND)


class PushCheckError(RuntimeError):
    """The version does not answer; the message says what happened."""


def check_push(
    server: str,
    model_name: str,
    version: int,
    bundle: Path,
    time_limit_s: float,
    credentials: grpc.ChannelCredentials | None = None,
) -> int:
    """Waits for a version and sends it real requests.

    Args:
      server: HOST:PORT of the running server.
      model_name: name the model is served under.
      version: the version that has to answer.
      bundle: its folder, with warm-up requests.
      time_limit_s: seconds for everything.
      credentials: for TLS; None for plain text.

    Returns:
      Number of requests answered.

    Raises:
      PushCheckError: the version failed to load, did not appear in time, or did not answer.
    """
    requests = read_warm_up_requests(bundle)
    deadline_s = time.monotonic() + time_limit_s
    [opened] = open_channels(grpc, server, 1, credentials)
    with opened as channel:
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        _wait_until_available(models, server, model_name, version, deadline_s)
        for position, request in enumerate(requests):
            request.model_spec.name = model_name
            request.model_spec.version.value = version
            _ask(predictions, request, position)
    return len(requests)


def read_warm_up_requests(bundle: Path) -> list[predict_pb2.PredictRequest]:
    """The first requests of a bundle's warm-up file, at most `MAX_REQUESTS`.

    Raises:
      PushCheckError: there are none, or the file is damaged.
    """
    file = bundle / WARM_UP_FILE
    requests = []
    try:
        for record in tf.data.TFRecordDataset(str(file)).take(MAX_REQUESTS).as_numpy_iterator():
            log = prediction_log_pb2.PredictionLog.FromString(record)
            requests.append(log.predict_log.request)
    except (tf.errors.OpError, DecodeError) as error:
        raise PushCheckError(f"{file} should hold warm-up requests: {error}") from error
    if not requests:
        raise PushCheckError(f"{file} should hold at least one warm-up request.")
    return requests


def _wait_until_available(
    models: model_service_pb2_grpc.ModelServiceStub,
    server: str,
    model_name: str,
    version: int,
    deadline_s: float,
) -> None:
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = model_name
    request.model_spec.version.value = version
    seen = "it has not looked at the folder, or watches another one"
    while time.monotonic() < deadline_s:
        try:
            [status] = models.GetModelStatus(
                request, timeout=_REQUEST_TIMEOUT_S
            ).model_version_status
        except grpc.RpcError as error:
            if error.code() not in _NOT_YET:
                raise PushCheckError(_describe("The status", error)) from error
            if error.code() == grpc.StatusCode.UNAVAILABLE:
                seen = f"no server answers there ({_on_one_line(error)}); see its TLS and yours"
        else:
            if status.state == _State.AVAILABLE:
                return
            seen = f"its state is {_State.State.Name(status.state)}"
            if status.state == _State.END:
                raise PushCheckError(
                    f"The server does not serve version {version}: "
                    f"{status.status.error_message or 'it was unloaded'}"
                )
        time.sleep(_LOOK_INTERVAL_S)
    raise PushCheckError(
        f"The server at {server} should serve version {version} of {model_name!r} within the time "
        f"limit; {seen}."
    )


def _ask(
    predictions: prediction_service_pb2_grpc.PredictionServiceStub,
    request: predict_pb2.PredictRequest,
    position: int,
) -> None:
    try:
        response = predictions.Predict(request, timeout=_REQUEST_TIMEOUT_S)
    except grpc.RpcError as error:
        raise PushCheckError(_describe(f"Request {position}", error)) from error
    answered_by = response.model_spec.version.value
    if answered_by != request.model_spec.version.value or not response.outputs:
        raise PushCheckError(
            f"Request {position} should be answered by version "
            f"{request.model_spec.version.value} with outputs. Received: version {answered_by}, "
            f"outputs {sorted(response.outputs)}."
        )


def _describe(what: str, error: grpc.RpcError) -> str:
    return f"{what} failed with {error.code().name}: {_on_one_line(error)}"


def _on_one_line(error: grpc.RpcError) -> str:
    return " ".join((error.details() or "").split())


def main(argv: Sequence[str] | None = None) -> int:
    """Checks one version; exits with 1 and one line if it does not answer."""
    parser = argparse.ArgumentParser(prog="python -m serving.push_check", description=__doc__)
    parser.add_argument("--server", required=True, help="HOST:PORT")
    parser.add_argument("--model-name", default="student")
    parser.add_argument("--version", type=int, required=True)
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the version")
    parser.add_argument("--time-limit-s", type=float, default=120.0)
    parser.add_argument("--tls-ca", default="", help="connect with TLS, trusting this PEM file")
    parser.add_argument("--tls-cert", default="", help="PEM file: a certificate of one's own")
    parser.add_argument("--tls-key", default="", help="PEM file")
    args = parser.parse_args(argv)
    try:
        credentials = read_credentials(args.tls_ca, args.tls_cert, args.tls_key)
        num_answered = check_push(
            *(args.server, args.model_name, args.version, args.bundle, args.time_limit_s),
            credentials,
        )
    except (PushCheckError, RecommendError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(f"Version {args.version} answered {num_answered} requests.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
