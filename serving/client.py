"""Asking a model server for recommendations; needs only grpc and tensorflow-serving-api.

Works with the embedded server and with the stock `tensorflow/serving`. From a shell:
`python -m serving.client --server localhost:8500 --history 12,7,31 --k 10`.
"""

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NamedTuple

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

MAX_MESSAGE_BYTES = 64 * 2**20
_MAX_K = 2**31 - 1
_CONNECTED_TIMEOUT_S = 0.2  # an open connection is seen at once

# A server that restarts answers UNAVAILABLE (CANCELLED for what it had not begun), one whose
# threads are all taken RESOURCE_EXHAUSTED. Asking twice does no harm: a request changes nothing.
# gRPC retries within the deadline of the call and allows five attempts at most.
_RETRIES = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED", "RESOURCE_EXHAUSTED"],
            },
        }
    ]
}


class RecommendError(RuntimeError):
    """A request that was not answered; the message says what to do next."""


class Recommendation(NamedTuple):
    """A recommended item and the model's score for it; higher is better."""

    item_id: str
    score: float


class VersionStatus(NamedTuple):
    """State of one version: LOADING, AVAILABLE, UNLOADING or END; code 0 means no error."""

    version: int
    state: str
    error_code: int
    error_message: str


class RecommendClient:
    """A connection to a model server. Safe to use from several threads; close it after use.

    Args:
      target: "host:port" of the server.
      model_name: name the model is served under.
      timeout_s: time limit of one call in seconds, retries included.

    Raises:
      RecommendError: an argument is out of range.
    """

    def __init__(self, target: str, model_name: str = "student", timeout_s: float = 5.0) -> None:
        if not target:
            raise RecommendError("`target` should be the host:port of a model server.")
        if not model_name:
            raise RecommendError("`model_name` should not be empty.")
        if not timeout_s > 0:
            raise RecommendError(f"`timeout_s` should be positive. Received: {timeout_s}.")
        self._target = target
        self._model_name = model_name
        self._timeout_s = timeout_s
        self._channel = grpc.insecure_channel(
            target,
            options=[
                # gRPC's own receive limit of 4 MiB is soon reached by a batch of long lists.
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
                ("grpc.service_config", json.dumps(_RETRIES)),
                # Notice a restarted server within the retries above.
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 1000),
            ],
        )
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def recommend(
        self, histories: Sequence[Sequence[str]], k: int, exclude_seen: bool = True
    ) -> list[list[Recommendation]]:
        """Recommends the next items for a batch of histories.

        Args:
          histories: raw item ids, most recent last; lengths may differ. "" is padding, ids the
            model does not know are ignored.
          k: number of items wanted per history.
          exclude_seen: whether items of the history are left out.

        Returns:
          Per history at most `k` items, best first; fewer if the model has no more candidates.

        Raises:
          RecommendError: a bad argument, or the server did not answer.
        """
        _check_arguments(histories, k, exclude_seen)
        if not histories:
            return []
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._model_name
        request.model_spec.signature_name = "serving_default"
        request.inputs["history"].CopyFrom(_pad_left(histories))
        request.inputs["k"].CopyFrom(tf.make_tensor_proto(k, dtype=tf.int32))
        request.inputs["exclude_seen"].CopyFrom(tf.make_tensor_proto(exclude_seen, dtype=tf.bool))
        try:
            response = self._predictions.Predict(request, timeout=self._timeout_s)
        except grpc.RpcError as error:
            raise self._explain(error) from error
        return _read_answer(response, num_histories=len(histories))

    def model_status(self) -> list[VersionStatus]:
        """States of the versions the server knows, newest first.

        Raises:
          RecommendError: the server did not answer, or does not know the model.
        """
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = self._model_name
        try:
            response = self._models.GetModelStatus(request, timeout=self._timeout_s)
        except grpc.RpcError as error:
            raise self._explain(error) from error
        statuses = [
            VersionStatus(
                version=entry.version,
                state=get_model_status_pb2.ModelVersionStatus.State.Name(entry.state),
                error_code=entry.status.error_code,
                error_message=entry.status.error_message,
            )
            for entry in response.model_version_status
        ]
        return sorted(statuses, reverse=True)

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def __enter__(self) -> "RecommendClient":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _explain(self, error: Any) -> RecommendError:
        """One sentence and what to do next, for a failed call."""
        code, details = error.code(), error.details()
        if code == grpc.StatusCode.DEADLINE_EXCEEDED and not self._is_connected():
            code = grpc.StatusCode.UNAVAILABLE  # the deadline fell between two attempts to connect
        messages = {
            grpc.StatusCode.UNAVAILABLE: (
                f"No model server answers at {self._target}. Start it with `adarec serve`, or give "
                "the address of a running one."
            ),
            grpc.StatusCode.DEADLINE_EXCEEDED: (
                f"The model server at {self._target} did not answer within {self._timeout_s:g} s. "
                "Raise the timeout or send fewer histories at once."
            ),
            grpc.StatusCode.RESOURCE_EXHAUSTED: (
                f"The model server at {self._target} is busy or the batch is too large: {details}. "
                "Try again later or send fewer histories at once."
            ),
            grpc.StatusCode.NOT_FOUND: (
                f"The model server at {self._target} has no model {self._model_name!r} to ask. "
                "Give the name it is served under."
            ),
            grpc.StatusCode.UNIMPLEMENTED: (
                f"The server at {self._target} does not speak the TensorFlow Serving API. Give the "
                "gRPC port of a model server."
            ),
        }
        fallback = f"The model server at {self._target} refused: {details} ({code.name})."
        return RecommendError(messages.get(code, fallback))

    def _is_connected(self) -> bool:
        ready = grpc.channel_ready_future(self._channel)
        try:
            ready.result(timeout=_CONNECTED_TIMEOUT_S)
        except grpc.FutureTimeoutError:
            ready.cancel()
            return False
        return True


def _check_arguments(histories: Sequence[Sequence[str]], k: int, exclude_seen: bool) -> None:
    # TensorFlow Serving checks names and types only; anything else is for the client to find.
    if isinstance(histories, str) or not isinstance(histories, Sequence):
        raise RecommendError(
            f"`histories` should be a sequence of histories. Received: {histories!r}."
        )
    for position, history in enumerate(histories):
        if isinstance(history, str) or not isinstance(history, Sequence):
            raise RecommendError(
                f"`histories[{position}]` should be a sequence of item ids. Received: {history!r}."
            )
        for item_id in history:
            if not isinstance(item_id, str):
                raise RecommendError(
                    f"`histories[{position}]` should hold item ids as text. Received: {item_id!r}."
                )
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= _MAX_K:
        raise RecommendError(f"`k` should be a positive integer. Received: k={k!r}.")
    if not isinstance(exclude_seen, bool):
        raise RecommendError(f"`exclude_seen` should be True or False. Received: {exclude_seen!r}.")


def _pad_left(histories: Sequence[Sequence[str]]) -> Any:
    """TensorProto string [B, N], N the longest history's length, at least 1."""
    width = max(1, *(len(history) for history in histories))
    padded = np.full((len(histories), width), b"", dtype=object)
    for row, history in zip(padded, histories, strict=True):
        try:
            row[width - len(history) :] = [item_id.encode() for item_id in history]
        except UnicodeEncodeError as error:
            raise RecommendError(f"Item ids should be valid Unicode text: {error}.") from error
    return tf.make_tensor_proto(padded, dtype=tf.string)


def _read_answer(
    response: predict_pb2.PredictResponse, num_histories: int
) -> list[list[Recommendation]]:
    if not {"item_ids", "scores"} <= set(response.outputs):
        raise RecommendError(
            f"The model should answer with item_ids and scores. Received: "
            f"{', '.join(sorted(response.outputs))}. Serve a model pushed by `adarec run`."
        )
    item_ids = tf.make_ndarray(response.outputs["item_ids"])
    scores = tf.make_ndarray(response.outputs["scores"])
    if item_ids.ndim != 2 or item_ids.shape != scores.shape or len(item_ids) != num_histories:
        raise RecommendError(
            f"The model should answer with item_ids and scores of one shape "
            f"[{num_histories}, K]. Received: {item_ids.shape} and {scores.shape}."
        )
    # An empty id fills a row whose candidates ran out.
    return [
        [
            Recommendation(item_id.decode(), float(score))
            for item_id, score in zip(row_ids, row_scores, strict=True)
            if item_id
        ]
        for row_ids, row_scores in zip(item_ids, scores, strict=True)
    ]


def parse_history(text: str) -> list[str]:
    """Item ids of one CSV line; ids with commas can be quoted.

    Raises:
      RecommendError: the text is not one CSV line.
    """
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise RecommendError(
            f"The history should be one line of comma-separated item ids: {error}."
        ) from error
    return rows[0] if rows else []


def main(argv: Sequence[str] | None = None) -> int:
    """Prints recommendations for one history as CSV."""
    parser = argparse.ArgumentParser(prog="python -m serving.client", description=__doc__)
    parser.add_argument("--server", default="localhost:8500", help="host:port")
    parser.add_argument("--model-name", default="student")
    parser.add_argument("--history", required=True, help="item ids as one CSV line, latest last")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--keep-seen", action="store_true", help="recommend seen items too")
    parser.add_argument("--timeout-s", type=float, default=5.0)
    args = parser.parse_args(argv)
    try:
        history = parse_history(args.history)
        with RecommendClient(args.server, args.model_name, args.timeout_s) as client:
            (items,) = client.recommend([history], args.k, exclude_seen=not args.keep_seen)
    except RecommendError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(Recommendation._fields)
    writer.writerows(items)
    return 0


if __name__ == "__main__":
    sys.exit(main())
