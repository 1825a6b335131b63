"""Asking a model server for recommendations; needs only grpc and protobuf.

Works with the embedded server and with the stock `tensorflow/serving`. TensorFlow is not imported:
a client's packages are 19 MB. `async_client` has the same methods for asyncio. From a shell:
`python -m serving.client --server localhost:8500 --history 12,7,31 --k 10`.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, TypeVar

import grpc

from serving import calls, connection
from serving.calls import Call, Recommendation, RecommendError, SessionStep, VersionStatus

__all__ = ["RecommendClient", "RecommendError", "Recommendation", "SessionStep", "VersionStatus"]

Result = TypeVar("Result")


class RecommendClient:
    """A connection to a model server. Safe to use from several threads; close it after use.

    A call that meets UNAVAILABLE or RESOURCE_EXHAUSTED is repeated with growing pauses, within its
    time limit. Every method raises RecommendError for a bad argument, which is found before
    anything is sent, and where the server did not answer.

    Histories are raw item ids, most recent last; lengths may differ. "" is padding, ids the model
    does not know are ignored. A batch in one call costs less than as many calls.

    Args:
      target: "host:port" of the server.
      model_name: name the model is served under.
      timeout_s: time limit of one call in seconds, retries included.
      num_connections: calls take turns on so many connections. One carries many calls at once; more
        help where one thread of gRPC is the limit.
      credentials: for TLS, from `grpc.ssl_channel_credentials`; None for plain text.

    Raises:
      RecommendError: an argument is out of range.
    """

    def __init__(
        self,
        target: str,
        model_name: str = "student",
        timeout_s: float = 5.0,
        num_connections: int = 1,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        connection.check_call_settings(model_name, timeout_s)
        self._channels = connection.open_channels(grpc, target, num_connections, credentials)
        self._target = target
        self._model_name = model_name
        self._timeout_s = timeout_s
        self._predict_methods = connection.predict_methods(self._channels)
        self._status_method = connection.status_method(self._channels[0])

    def recommend(
        self,
        histories: Sequence[Sequence[str]],
        k: int,
        exclude_seen: bool = True,
        *,
        allowed: Sequence[Sequence[str]] = (),
        denied: Sequence[Sequence[str]] = (),
        timeout_s: float | None = None,
    ) -> list[list[Recommendation]]:
        """Recommends the next items for a batch of histories.

        Args:
          histories: see the class.
          k: number of items wanted per history.
          exclude_seen: whether items of the history are left out.
          allowed: the only items to recommend, one list a history or one for all; an empty list
            allows none. Without any list all items are allowed.
          denied: items to leave out, in the same form.
          timeout_s: time limit of this call in place of the client's.

        Returns:
          Per history at most `k` items, best first; fewer if the model has no more candidates.
        """
        return self._ask(
            calls.recommend_call(histories, k, exclude_seen, allowed, denied), timeout_s
        )

    def score(
        self,
        histories: Sequence[Sequence[str]],
        candidates: Sequence[Sequence[str]],
        *,
        timeout_s: float | None = None,
    ) -> list[list[float]]:
        """Scores given items, as they are scored in a recommendation.

        Args:
          histories: see the class.
          candidates: item ids, one list a history or one for all.
          timeout_s: time limit of this call in place of the client's.

        Returns:
          Per history a score for each candidate; -inf for items the model does not know.
        """
        return self._ask(calls.score_call(histories, candidates), timeout_s)

    def embed(
        self, histories: Sequence[Sequence[str]], *, timeout_s: float | None = None
    ) -> list[list[float]]:
        """User vectors, whose products with the rows of the item table are scores.

        Args:
          histories: see the class.
          timeout_s: time limit of this call in place of the client's.

        Returns:
          Per history D numbers.
        """
        return self._ask(calls.embed_call(histories), timeout_s)

    def step(
        self,
        items: Sequence[str],
        sessions: Sequence[bytes],
        k: int,
        *,
        denied: Sequence[Sequence[str]] = (),
        timeout_s: float | None = None,
    ) -> list[SessionStep]:
        """Adds an item to each of several sessions, at a cost that does not grow with their length.

        The recommendations are those of the whole history, of at most the number of items that the
        model sees. Longer sessions are refused: ask `recommend` with the whole history then.

        Args:
          items: the item that each session goes on with; an unknown one changes nothing.
          sessions: what the last step gave for each; b"" begins a session.
          k: number of items wanted per session.
          denied: items to leave out, such as those seen, one list a session or one for all.
          timeout_s: time limit of this call in place of the client's.

        Returns:
          For each session its recommendations, and the bytes that the next step takes.
        """
        return self._ask(calls.step_call(items, sessions, k, denied), timeout_s)

    def model_status(self) -> list[VersionStatus]:
        """States of the versions the server knows, newest first.

        Raises:
          RecommendError: the server did not answer, or does not know the model.
        """
        request = calls.status_request(self._model_name)
        return calls.read_status(self._send(self._status_method, request, None))

    def close(self) -> None:
        """Closes the connections."""
        for channel in self._channels:
            channel.close()

    def __enter__(self) -> "RecommendClient":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, call: Call[list[Result]], timeout_s: float | None) -> list[Result]:
        if call.is_empty:
            return []
        call.request.model_spec.name = self._model_name
        return call.read(self._send(next(self._predict_methods), call.request, timeout_s))

    def _send(self, method: Any, request: Any, timeout_s: float | None) -> Any:
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        connection.check_call_settings(self._model_name, limit_s)
        try:
            return method(request, timeout=limit_s)
        except grpc.RpcError as error:
            raise connection.explained(
                error,
                target=self._target,
                model_name=self._model_name,
                timeout_s=limit_s,
                is_connected=self._is_connected(),
            ) from error

    def _is_connected(self) -> bool:
        ready = grpc.channel_ready_future(self._channels[0])
        try:
            ready.result(timeout=connection.CONNECTED_TIMEOUT_S)
        except grpc.FutureTimeoutError:
            ready.cancel()
            return False
        return True


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
    parser.add_argument("--tls-ca", default="", help="connect with TLS, trusting this PEM file")
    parser.add_argument("--tls-cert", default="", help="PEM file: a certificate of one's own")
    parser.add_argument("--tls-key", default="", help="PEM file")
    args = parser.parse_args(argv)
    try:
        history = parse_history(args.history)
        credentials = connection.read_credentials(args.tls_ca, args.tls_cert, args.tls_key)
        with RecommendClient(
            args.server, args.model_name, args.timeout_s, credentials=credentials
        ) as client:
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
