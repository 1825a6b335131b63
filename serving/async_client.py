"""The client for asyncio: the methods of `client.RecommendClient`, awaited."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, cast

import grpc

from serving.client import RecommendClient
from serving.connection import CONNECTED_TIMEOUT_S, ClientBase, Read, Result

Arguments = ParamSpec("Arguments")


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


class AsyncRecommendClient(ClientBase):
    """A connection to a model server, for one event loop, with the methods of `RecommendClient`.

    Make it inside of the loop that uses it, and close it there.
    """

    _grpc = grpc.aio

    recommend = _awaited(RecommendClient.recommend)
    score = _awaited(RecommendClient.score)
    embed = _awaited(RecommendClient.embed)
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
            raise self._explain(error, limit_s, await self._is_connected()) from error
        return read(response)

    async def _is_connected(self) -> bool:
        ready = self._channels[0].channel_ready()
        try:
            await asyncio.wait_for(ready, CONNECTED_TIMEOUT_S)
        except TimeoutError:
            return False
        return True
