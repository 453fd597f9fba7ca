"""TCP proxies between workers, publishers and their servers: one is slow and breaks, one cuts at COMMIT."""

import asyncio

from tests.black_hole import BlackHole

COMMIT = b"COMMIT;\0"
COMMITTED = b"C\0\0\0\x0bCOMMIT\0"


class BadWay(BlackHole):
    """Forwards slowly, or not at all.

    Attributes:
        delay: seconds that each piece takes more. rate: bytes a second; 0 for as fast as it goes.
    """

    delay = 0.0
    rate = 0

    def cut(self) -> None:
        """Reset all connections; new ones are taken."""
        for writer in self._writers:
            writer.transport.abort()

    async def _passes(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        if seconds := self.delay + (len(data) / self.rate if self.rate else 0):
            await asyncio.sleep(seconds)


class CutsAtCommit(BlackHole):
    """Ends a connection to Postgres at the moment of a COMMIT, once each time that `arm` was called.

    Attributes:
        cuts: how often it has.
    """

    MOMENTS = ("before", "during", "after")

    def __init__(self, target: tuple[str, int]) -> None:
        super().__init__(target)
        self.cuts = 0
        self._moment = ""

    def arm(self, moment: str) -> None:
        """*moment*: "before" Postgres hears of it; "during", heard and not answered; "after", answered."""
        self._moment = moment

    async def _passes(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        if not self._moment or (COMMITTED if self._moment == "after" else COMMIT) not in data:
            return
        if self._moment == "during":
            writer.write(data)
            await writer.drain()
        self._moment = ""
        self.cuts += 1
        raise ConnectionAbortedError("cut at COMMIT")
