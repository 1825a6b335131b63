"""Asking a model server for recommendations; needs only grpc and protobuf.

Works with the embedded server and with the stock `tensorflow/serving`. TensorFlow is not imported:
a client's packages are 19 MB. From a shell: `adarec recommend --history 12,7,31 --k 10`.
"""

import asyncio
import csv
import functools
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Concatenate, ParamSpec, cast

import grpc

from serving import calls, connection, messages
from serving.calls import RecommendedItem, RecommendError, Rows, SessionAnswer, VersionStatus
from serving.connection import Read, Result

__all__ = [
    "AsyncRecommendClient",
    "RecommendClient",
    "RecommendError",
    "RecommendedItem",
    "SessionAnswer",
    "VersionStatus",
]
Arguments = ParamSpec("Arguments")


class RecommendClient(connection.ClientBase):
    """A connection to a model server. Safe to use from several threads; close it after use.

    A call that meets UNAVAILABLE or RESOURCE_EXHAUSTED is repeated with growing pauses, within its
    time limit. Every method raises RecommendError for a bad argument, which is found before
    anything is sent, and where the server did not answer.

    Histories are raw item ids, most recent last; lengths may differ. "" is padding, ids the model
    does not know are ignored. A batch in one call costs less than as many calls.
    """

    def recommend(
        self,
        histories: Rows,
        k: int,
        exclude_seen: bool = True,
        *,
        allowed: Rows = (),
        denied: Rows = (),
        timeout_s: float | None = None,
    ) -> list[list[RecommendedItem]]:
        """Recommends the next items for a batch of histories.

        Args:
          histories: raw item ids, most recent last; lengths may differ.
          k: number of items wanted per history.
          exclude_seen: whether items of the history are left out.
          allowed: the only items to recommend, one list a history or one for all; an empty list
            allows none. Without any list all items are allowed.
          denied: items to leave out, in the same form.
          timeout_s: time limit of this call in place of the client's.

        Returns:
          Per history at most `k` items, best first; fewer if the model has no more candidates.
        """
        if not isinstance(exclude_seen, bool):
            raise RecommendError(
                f"`exclude_seen` should be True or False. Received: {exclude_seen!r}."
            )
        inputs = {
            "history": calls.encode_rows("histories", histories),
            "k": calls.encode_k(k),
            "exclude_seen": messages.tensor(messages.DT_BOOL, bool_val=[exclude_seen]),
        }
        signature, num_histories = "serving_default", len(histories)
        if len(allowed) or len(denied):
            signature = "recommend_filtered"
            rows = [row if len(row) else [calls.NO_ITEM] for row in allowed] or [[""]]
            inputs["allowed"] = calls.encode_rows("allowed", rows, {1, num_histories})
            inputs["denied"] = calls.encode_rows("denied", denied or [[""]], {1, num_histories})
        read = functools.partial(calls.read_items, num_histories=num_histories)
        return self._ask(calls.predict_request(signature, inputs), read, num_histories, timeout_s)

    def score(
        self, histories: Rows, candidates: Rows, *, timeout_s: float | None = None
    ) -> list[list[float]]:
        """Scores given items, as they are scored in a recommendation.

        Args:
          histories: raw item ids, most recent last; lengths may differ.
          candidates: item ids, one list a history or one for all.
          timeout_s: time limit of this call in place of the client's.

        Returns:
          Per history a score for each candidate; -inf for items the model does not know.
        """
        num_histories = len(histories)
        inputs = {
            "history": calls.encode_rows("histories", histories),
            "candidates": calls.encode_rows("candidates", candidates, {1, num_histories}),
        }
        counts = [len(row) for row in candidates]
        counts *= num_histories if len(counts) == 1 else 1

        def read(response: Any) -> list[list[float]]:
            rows = calls.read_rows(response, "scores", num_histories)
            return [row[len(row) - n :] for row, n in zip(rows, counts, strict=True)]

        return self._ask(calls.predict_request("score", inputs), read, num_histories, timeout_s)

    def embed(self, histories: Rows, *, timeout_s: float | None = None) -> list[list[float]]:
        """User vectors, whose products with the rows of the item table are scores.

        Args:
          histories: raw item ids, most recent last; lengths may differ.
          timeout_s: time limit of this call in place of the client's.

        Returns:
          Per history D numbers.
        """
        inputs = {"history": calls.encode_rows("histories", histories)}
        read = functools.partial(calls.read_rows, name="user_vector", num_rows=len(histories))
        return self._ask(calls.predict_request("embed", inputs), read, len(histories), timeout_s)

    def from_examples(
        self, examples: Sequence[bytes], *, timeout_s: float | None = None
    ) -> list[list[RecommendedItem]]:
        """Recommends the next items for histories in the form of TensorFlow's pipelines.

        Args:
          examples: serialized `tf.train.Example`s whose feature `history` holds raw item ids.
          timeout_s: time limit of this call in place of the client's.

        Returns:
          Per example at most 100 items, best first. Whether those of the history are left out was
          decided when the bundle was written.
        """
        inputs = {"examples": calls.encode_examples(examples)}
        read = functools.partial(calls.read_items, num_histories=len(examples))
        request = calls.predict_request("from_examples", inputs)
        return self._ask(request, read, len(examples), timeout_s)

    def step(
        self,
        items: Sequence[str],
        sessions: Sequence[bytes],
        k: int,
        *,
        denied: Rows = (),
        timeout_s: float | None = None,
    ) -> list[SessionAnswer]:
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
        keys = calls.encode_row("items", items)
        inputs = {
            "item": messages.tensor(messages.DT_STRING, len(keys), string_val=keys),
            "session": calls.encode_sessions(sessions, len(items)),
            "k": calls.encode_k(k),
            "denied": calls.encode_rows("denied", denied or [[""]], {1, len(items)}),
        }
        read = functools.partial(calls.read_sessions, num_items=len(items))
        return self._ask(calls.predict_request("step", inputs), read, len(items), timeout_s)

    def model_status(self) -> list[VersionStatus]:
        """States of the versions the server knows, newest first."""
        return self._ask(messages.GetModelStatusRequest(), calls.read_statuses)

    def predict(self, request: Any) -> Any:
        """Sends a PredictRequest of `serving.messages` as it is; returns its PredictResponse."""
        [response] = self._ask(request, lambda response: [response])
        return response

    def close(self) -> None:
        """Closes the connections."""
        for channel in self._channels:
            channel.close()

    def __enter__(self) -> "RecommendClient":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _ask(
        self, request: Any, read: Read[Result], num_rows: int = 1, timeout_s: float | None = None
    ) -> list[Result]:
        if num_rows == 0:
            return []
        limit_s = self._checked_timeout(timeout_s)
        try:
            response = self._start(request, limit_s)
        except grpc.RpcError as error:
            listener = connection.Listener.OTHER
            if connection.needs_a_look(error):
                listener = connection.find_listener(self._target)
            raise self._explain(error, limit_s, listener) from error
        return read(response)


def _awaited(
    method: Callable[Concatenate[RecommendClient, Arguments], Result],
) -> Callable[Concatenate["AsyncRecommendClient", Arguments], Coroutine[Any, Any, Result]]:
    """The same method for asyncio: it hands a request to `_ask`, which is awaited."""

    @functools.wraps(method)
    async def ask(
        self: "AsyncRecommendClient", *arguments: Arguments.args, **named: Arguments.kwargs
    ) -> Result:
        return await cast(Any, method)(self, *arguments, **named)

    return ask


class AsyncRecommendClient(connection.ClientBase):
    """A connection to a model server, for one event loop, with the methods of `RecommendClient`.

    Make it inside of the loop that uses it, and close it there.
    """

    _grpc = grpc.aio

    recommend = _awaited(RecommendClient.recommend)
    score = _awaited(RecommendClient.score)
    embed = _awaited(RecommendClient.embed)
    from_examples = _awaited(RecommendClient.from_examples)
    step = _awaited(RecommendClient.step)
    model_status = _awaited(RecommendClient.model_status)

    async def close(self) -> None:
        """Closes the connections."""
        for channel in self._channels:
            await channel.close()

    async def __aenter__(self) -> "AsyncRecommendClient":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def _ask(
        self, request: Any, read: Read[Result], num_rows: int = 1, timeout_s: float | None = None
    ) -> list[Result]:
        if num_rows == 0:
            return []
        limit_s = self._checked_timeout(timeout_s)
        try:
            response = await self._start(request, limit_s)
        except grpc.RpcError as error:
            listener = connection.Listener.OTHER
            if connection.needs_a_look(error):
                listener = await asyncio.to_thread(connection.find_listener, self._target)
            raise self._explain(error, limit_s, listener) from error
        return read(response)


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
