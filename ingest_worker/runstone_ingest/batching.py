"""Natural batching: while one batch is being written, the next one gathers.

The fetching task adds what it has fetched and decoded; the writing task takes everything that is there. When
little comes, a batch is what one fetch brought and goes out at once; when much comes, batches grow until
writing them keeps pace. No timer is involved. Memory is bounded: the fetching task waits for room.

Two tasks of one event loop use it; nothing here awaits but `room`.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from runstone_ingest.ownership import Holding
from runstone_ingest.records import Admitted, DeadLetter

BYTES_MAX: Final = 12 << 20
"""Bytes of records (`Record.size`) at which a batch is full: some hundred thousand points, well beyond what
makes a transaction cheap. One batch is being written, for which arrays are made, while another gathers."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """A decoded record (or one that is dead) of a partition that was held when it was fetched."""

    holding: Holding
    item: Admitted | DeadLetter


class Gathering:
    """The batch that gathers."""

    def __init__(self, wake: asyncio.Event, bytes_max: int = BYTES_MAX) -> None:
        """*wake* is set whenever something was added."""
        self._wake = wake
        self._bytes_max = bytes_max
        self._items: list[Gathered] = []
        self._bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    def add(self, gathered: Gathered) -> None:
        """Append to the batch; a full one still takes it, so that a fetch is never torn."""
        self._items.append(gathered)
        self._bytes += gathered.item.record.size()
        if self._bytes >= self._bytes_max:
            self._room.clear()
        self._wake.set()

    def take(self) -> list[Gathered]:
        """Everything gathered so far, in order; the next batch begins empty."""
        taken, self._items, self._bytes = self._items, [], 0
        self._room.set()
        return taken

    @property
    def empty(self) -> bool:
        """Whether nothing has gathered."""
        return not self._items

    @property
    def full(self) -> bool:
        """Whether nothing more should be fetched for now."""
        return not self._room.is_set()

    async def room(self) -> None:
        """Wait until the batch is not full."""
        await self._room.wait()
