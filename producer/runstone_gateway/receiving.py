"""An upload's body on its way into the store: in large blocks, hashed alongside.

While the store writes a block a thread hashes it and the loop receives the next one, so an upload is as fast
as the slowest of the three; in memory are at most the block being written, the one that waits for it and what
aiohttp reads ahead, two more. The promise about the content is checked before the store is told that the body
has ended: what differs is never published.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import ClientPayloadError, StreamReader, web

from runstone.exceptions import RunstoneError
from runstone_gateway.stores.store import WRITTEN

_AT_ONCE: Final = 64 * 1024
"""Bytes that are hashed sooner than a thread is woken."""


class ContentDiffersError(RunstoneError):
    """The body is not what its sender says; the message has both hashes."""


class BrokenUploadError(RunstoneError):
    """The connection went before the body had ended."""


class Receiving:
    """One body; iterated once.

    Attributes:
        size: bytes received so far.
    """

    def __init__(self, content: StreamReader, expected: str = "") -> None:
        """*expected* is the SHA-256 that the sender promises, in hexadecimal digits; empty: none."""
        self.size = 0
        self._blocks = content.iter_chunked(WRITTEN)
        self._expected = expected
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of what was received so far, in hexadecimal digits."""
        return self._digest.hexdigest()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The blocks.

        Raises:
            ContentDiffersError: behind the last one, where the promise is not kept.
            BrokenUploadError: there is no last one.
        """
        loop = asyncio.get_running_loop()
        hashing: asyncio.Future[None] | None = None
        try:
            while block := await self._next():
                self.size += len(block)
                if hashing:
                    await hashing
                if len(block) > _AT_ONCE:
                    hashing = loop.run_in_executor(None, self._digest.update, block)
                else:
                    self._digest.update(block)
                yield block
        finally:
            if hashing:
                await hashing
        if self._expected and self._expected != self.sha256:
            raise ContentDiffersError(
                f"X-Content-SHA256 says {self._expected}, the body has {self.sha256}; send it again"
            )

    async def _next(self) -> bytes:
        try:
            # also tells the stream to read ahead in pieces of this size
            return await anext(self._blocks, b"")
        except (ConnectionError, ClientPayloadError, web.RequestPayloadError) as broken:
            raise BrokenUploadError("the upload was cut off; nothing was stored") from broken
