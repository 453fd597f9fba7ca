"""Waiting after a passing fault: a little longer each time, said once and not each time."""

import asyncio
import random
import sys
from typing import Final

import asyncpg
from aiokafka.errors import KafkaError

FIRST: Final = 0.1
LONGEST: Final = 2.0
"""Seconds: the first wait, doubled each time, and the longest, after which even a server that was away for an
hour is asked again; each with jitter."""

POSTGRES_FAULTS: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a statement that begins while the server's goodbye is being read
)
FAULTS: Final = (*POSTGRES_FAULTS, KafkaError)
"""What passes when whoever is away has come back."""

_SAID: Final = (1, 4)
_SAID_EVERY: Final = 150


class BackOff:
    """One task's waits. A stop ends them."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self.faults = 0

    def healed(self) -> None:
        """The next fault is a first one again."""
        self.faults = 0

    async def wait(self, why: str) -> None:
        """Say *why* on stderr, at the first fault in a row and at some of those after it, and wait."""
        self.faults += 1
        if self.faults in _SAID or self.faults % _SAID_EVERY == 0:
            print(f"runstone worker: {why}", file=sys.stderr, flush=True)
        seconds = min(LONGEST, FIRST * 2 ** min(self.faults, 10)) * random.uniform(0.7, 1.3)  # noqa: S311 - jitter
        await pause(self._stop, seconds)


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait for *seconds*, or until the stop."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
