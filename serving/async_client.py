"""The client for asyncio: the methods of `client.RecommendClient`, awaited."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, TypeVar

import grpc

from serving import calls, connection
from serving.calls import Call, Recommendation, SessionStep, VersionStatus

Result = TypeVar("Result")


class AsyncRecommendClient:
    """A connection to a model server, for one event loop; see `client.RecommendClient`.

    Make it inside of the loop that uses it, and close it there.

    Args:
      target: "host:port" of the server.
      model_name: name the model is served under.
      timeout_s: time limit of one call in seconds, retries included.
      num_connections: calls take turns on so many connections.
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
        self._channels = connection.open_channels(grpc.aio, target, num_connections, credentials)
        self._target = target
        self._model_name = model_name
        self._timeout_s = timeout_s
        self._predict_methods = connection.predict_methods(self._channels)
        self._status_method = connection.status_method(self._channels[0])

    async def recommend(
        self,
        histories: Sequence[Sequence[str]],
        k: int,
        exclude_seen: bool = True,
        *,
        allowed: Sequence[Sequence[str]] = (),
        denied: Sequence[Sequence[str]] = (),
        timeout_s: float | None = None,
    ) -> list[list[Recommendation]]:
        """Recommends the next items for a batch of histories."""
        return await self._ask(
            calls.recommend_call(histories, k, exclude_seen, allowed, denied), timeout_s
        )

    async def score(
        self,
        histories: Sequence[Sequence[str]],
        candidates: Sequence[Sequence[str]],
        *,
        timeout_s: float | None = None,
    ) -> list[list[float]]:
        """Scores given items, as they are scored in a recommendation."""
        return await self._ask(calls.score_call(histories, candidates), timeout_s)

    async def embed(
        self, histories: Sequence[Sequence[str]], *, timeout_s: float | None = None
    ) -> list[list[float]]:
        """User vectors, whose products with the rows of the item table are scores."""
        return await self._ask(calls.embed_call(histories), timeout_s)

    async def step(
        self,
        items: Sequence[str],
        sessions: Sequence[bytes],
        k: int,
        *,
        denied: Sequence[Sequence[str]] = (),
        timeout_s: float | None = None,
    ) -> list[SessionStep]:
        """Adds an item to each of several sessions, at a cost that does not grow."""
        return await self._ask(calls.step_call(items, sessions, k, denied), timeout_s)

    async def model_status(self) -> list[VersionStatus]:
        """States of the versions the server knows, newest first."""
        request = calls.status_request(self._model_name)
        return calls.read_status(await self._send(self._status_method, request, None))

    async def close(self) -> None:
        """Closes the connections."""
        for channel in self._channels:
            await channel.close()

    async def __aenter__(self) -> "AsyncRecommendClient":
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _ask(self, call: Call[list[Result]], timeout_s: float | None) -> list[Result]:
        if call.is_empty:
            return []
        call.request.model_spec.name = self._model_name
        method = next(self._predict_methods)
        return call.read(await self._send(method, call.request, timeout_s))

    async def _send(self, method: Any, request: Any, timeout_s: float | None) -> Any:
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        connection.check_call_settings(self._model_name, limit_s)
        try:
            return await method(request, timeout=limit_s)
        except grpc.RpcError as error:
            raise connection.explained(
                error,
                target=self._target,
                model_name=self._model_name,
                timeout_s=limit_s,
                is_connected=await self._is_connected(),
            ) from error

    async def _is_connected(self) -> bool:
        ready = self._channels[0].channel_ready()
        try:
            await asyncio.wait_for(ready, connection.CONNECTED_TIMEOUT_S)
        except TimeoutError:
            return False
        return True
