"""The merging task: small chunks of the runs of this worker become large ones, in the background.

While points come live, each batch leaves a small chunk a series; a few thousand of its points in one row
take a third of the space and are read faster. The task has a connection of its own and shares nothing with
the writing task but the list of what waits (`Unmerged`). It works for a share of the time, a small one
while points are being written, and holds no lock that ingest waits for (`merge_step`). Whatever it is
stopped by, the step at hand has happened or has not.
"""

import asyncio
import time
from typing import Any, Final

from aiokafka import TopicPartition

from runstone_ingest import merge_step
from runstone_ingest.back_off import POSTGRES_FAULTS, BackOff, pause
from runstone_ingest.ownership import Holding, Ownership
from runstone_ingest.unmerged import Unmerged
from runstone_store import named_sql, pool

BUSY_SHARE: Final = 0.1
IDLE_SHARE: Final = 0.5
"""Of the time, while points are being written and while none are."""

BUSY_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 0.5
"""How often the task looks whether something is due."""

_SQL: Final = named_sql.load(__file__, "merging.sql")


class Merging:
    """Merges for one worker until *stop*."""

    def __init__(
        self, dsn: str, events_topic: str, ownership: Ownership, unmerged: Unmerged, stop: asyncio.Event
    ) -> None:
        """*events_topic*: the name of the topic that runs come from."""
        self._dsn = dsn
        self._events_topic = events_topic
        self._ownership = ownership
        self._unmerged = unmerged
        self._stop = stop
        self._back_off = BackOff(stop)
        self._known: set[Holding] = set()

    async def run(self, generation: str) -> None:
        """Merge chunks of *generation*."""
        while not self._stop.is_set():
            connection = None
            try:
                connection = await pool.connect_writer(self._dsn, "runstone worker, merging")
                await connection.execute(f"SET search_path TO {generation}")
                self._known.clear()  # what was taken when the connection broke waits, and is found again
                while not self._stop.is_set():
                    await self._turn(connection)
                    self._back_off.healed()
            except POSTGRES_FAULTS as failed:
                await self._back_off.wait(f"merging waits, trying again: {failed!r}")
            finally:
                if connection is not None:
                    connection.terminate()

    async def _turn(self, connection: Any) -> None:
        await self._look_at_holdings(connection)
        run_id = self._unmerged.take(time.monotonic())
        if run_id is None:
            await pause(self._stop, LOOK_SECONDS)
            return
        until = await merge_step.newest(connection, run_id)
        while until is not None and not self._stop.is_set():
            began = time.monotonic()
            step = await merge_step.merge(connection, run_id, until)
            now = time.monotonic()
            busy = now - self._unmerged.written_at < BUSY_SECONDS
            await pause(self._stop, (now - began) * (1 / (BUSY_SHARE if busy else IDLE_SHARE) - 1))
            if not step.chunks:
                return

    async def _look_at_holdings(self, connection: Any) -> None:
        """Find what waits in partitions that were taken over, and forget those that were lost."""
        held = set(self._ownership.held.values())
        if held == self._known:
            return
        self._unmerged.keep(self._ownership.held)
        numbers = [one.partition for one in held - self._known if one.topic == self._events_topic]
        found = await connection.fetch(_SQL["runs_with_chunks"], numbers)
        for run_id, partition in found:
            self._unmerged.found(run_id, TopicPartition(self._events_topic, partition), time.monotonic())
        self._known = held
