"""The bodies of requests to write: together they fill no memory. Used on the gateway's loop."""

import contextlib
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from runstone.events.limits import MIB
from runstone_gateway.mlflow.decoding import read_body
from runstone_gateway.mlflow.errors import AWAY, MlflowError

TOGETHER_MOST: Final = 256 * MIB
"""Bytes of all bodies that are received or worked on at a time; beyond them the answer is 503."""


class Bodies:
    """Counts them."""

    def __init__(self) -> None:
        self._bytes = 0

    @contextlib.asynccontextmanager
    async def of(self, request: web.Request) -> AsyncIterator[bytes]:
        """The body of *request*, as long as it is worked on. Raises `MlflowError` as `read_body`, and 503."""
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            taken += size
            self._bytes += size
            if self._bytes > TOGETHER_MOST:
                raise MlflowError(AWAY, "Too many large requests at once; try again in a moment.")

        try:
            yield await read_body(request, take=take)
        finally:
            self._bytes -= taken
