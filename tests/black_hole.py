"""A TCP proxy that can stop forwarding, as a firewall that forgot a connection does: nobody is told."""

import asyncio
import contextlib


class BlackHole:
    """Forwards connections to a server, until told not to.

    Attributes:
        accepted: how many connections there have been.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._doomed: set[asyncio.StreamWriter] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.accepted = 0

    async def start(self, host: str, port: int) -> None:
        """Listen there."""
        self._server = await asyncio.start_server(self._serve, host, port)

    async def close(self) -> None:
        """End everything."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def swallow(self) -> None:
        """From now on connections that are there lead nowhere, for ever; new ones do as well."""
        self._doomed |= self._writers
        self._open.clear()

    def forward(self) -> None:
        """New connections reach the server again."""
        self._open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ends = {writer}
        try:
            await self._open.wait()
            there_reader, there_writer = await asyncio.open_connection(*self._target)
            ends.add(there_writer)
            self._writers |= ends
            await asyncio.gather(self._pump(reader, there_writer), self._pump(there_reader, writer))
        except asyncio.CancelledError:
            pass  # the test is over
        except ConnectionError:
            pass  # nobody listens there now
        finally:
            self._tasks.discard(task)
            self._writers -= ends
            for end in ends:
                end.close()

    async def _passes(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        """*data* is about to go to *writer*; a `ConnectionError` raised here ends its connection instead."""

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._passes(data, writer)
                if writer not in self._doomed:
                    writer.write(data)
                    await writer.drain()
        if writer not in self._doomed:
            writer.close()
        else:
            await asyncio.Event().wait()  # whoever hangs up there is not told of here
