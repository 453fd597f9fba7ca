"""The course of the generation that a worker writes: how far it goes, how fast, and when it has caught up.

A replay is a worker like any other whose generation is ``building``. Three things are different, and all of
them are here: records beyond the generation's end are left out, records come no faster than was asked for,
and somebody notices that it has caught up.

Who runs where: `Course.run` is one task of each worker, with a connection of its own; `cut` and `pace` are
called by the fetching task and change nothing that awaits. A fault of Kafka or Postgres is waited out. The
worker of a generation that is frozen, dropped or about to be is stopped by this task; it has nothing to do.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from aiokafka import TopicPartition

from runstone_ingest.back_off import FAULTS, BackOff
from runstone_ingest.records import Record
from runstone_store import generation_changes, generations, named_sql, pool
from runstone_store.exceptions import NoSuchGenerationError
from runstone_store.generations import INGESTING, Generation

LOOK_SECONDS: Final = 2.0
"""How often a worker looks what has become of its generation."""

BUILDING_SECONDS: Final = 0.25
CLOSE_SECONDS: Final = 3.0
"""A generation has caught up when it reaches within so many seconds where the topics ended at their begin."""

_BURST_SECONDS: Final = 0.2
_DEADLINE: Final = 10.0

_SQL: Final = named_sql.load(__file__, "course.sql")

Ends = Mapping[TopicPartition, int]


class Course:
    """Used by one worker; *stop* is set when there is nothing left to do."""

    def __init__(
        self, dsn: str, topics: tuple[str, str], stop: Callable[[], None], stopped: asyncio.Event
    ) -> None:
        """*topics*: the names of events and catalog. *stopped* is what *stop* sets."""
        self._dsn = dsn
        self._topics = topics
        self._stop = stop
        self._stopped = stopped
        self._back_off = BackOff(stopped)
        self._until: Ends | None = None
        self._rate: float | None = None
        self._due = 0.0
        self.hands_over_as = ""
        """The name of a worker that leaves when others carry the generation on; empty: it stays."""
        self.ended = ""
        """Why the worker was stopped by this, in words; empty where it was not."""

    def cut(self, tp: TopicPartition, records: Sequence[Record]) -> tuple[Sequence[Record], bool]:
        """Those of *records* that the generation may hold, and whether it ends here in this partition."""
        if self._until is None or not records:
            return records, False
        end = self._until.get(tp, 0)
        return [record for record in records if record.offset < end], records[-1].offset + 1 >= end

    async def pace(self, records: int) -> None:
        """After *records* were taken: wait as long as their rate asks for, or until the stop."""
        if self._rate is None:
            return
        now = time.monotonic()
        self._due = max(self._due, now - _BURST_SECONDS) + records / self._rate
        while self._rate is not None and not self._stopped.is_set():
            wait = self._due - time.monotonic()
            if wait <= 0:
                return
            await self._pause(min(wait, LOOK_SECONDS))

    def begin(self, found: Generation | None) -> bool:
        """Whether the worker of a generation that is as *found* (None: there is none) has something to do."""
        if found is None or found.state not in INGESTING:
            state = "gone" if found is None else {"dropping": "being dropped"}.get(found.state, found.state)
            self.ended = f"the generation is {state}, there is nothing to do in it"
            self._stop()
            return False
        building = found.state == "building"
        self._rate = found.rate if building else None
        if found.until is not None:
            self._until = {
                TopicPartition(topic, int(partition)): offset
                for topic, partitions in found.until.items()
                for partition, offset in partitions.items()
            }
        return True

    async def run(self, generation: str, ends: Callable[[Sequence[TopicPartition]], Awaitable[Ends]]) -> None:
        """Look after *generation* until the stop; *ends* asks Kafka where partitions end."""
        while not self._stopped.is_set():
            try:
                connection = await pool.connect_writer(self._dsn, "runstone worker, course")
                try:
                    await connection.execute(f"SET search_path TO {generation}")
                    while not self._stopped.is_set():
                        await self._look(connection, generation, ends)
                finally:
                    connection.terminate()
            except FAULTS as failed:
                await self._back_off.wait(f"nobody knows how far {generation} is, trying again: {failed!r}")

    async def _look(
        self, connection: Any, name: str, ends: Callable[[Sequence[TopicPartition]], Awaitable[Ends]]
    ) -> None:
        try:
            found = await generations.find(connection, name)
        except NoSuchGenerationError:
            found = None
        if not self.begin(found):
            return
        self._back_off.healed()
        if found is None or found.state != "building":
            others = _SQL["has_other_owner"]
            if self.hands_over_as and await connection.fetchval(others, self.hands_over_as):
                self.ended = "the generation has caught up, and other workers carry it on"
                self._stop()
            await self._pause(LOOK_SECONDS)
            return
        wanted = self._until
        if wanted is None and (partitions := await connection.fetchval(_SQL["partitions"])) is not None:
            events, catalog = self._topics
            places = [TopicPartition(events, n) for n in range(partitions)] + [TopicPartition(catalog, 0)]
            async with asyncio.timeout(_DEADLINE):
                wanted = await ends(places)
        if wanted is not None and await self._reached(connection, wanted):
            await generation_changes.become(
                connection, name, "building", "ready" if self._until is None else "frozen"
            )
            return
        await self._pause(BUILDING_SECONDS)

    async def _reached(self, connection: Any, wanted: Ends) -> bool:
        """Whether the generation reaches *wanted* in a moment, whoever its workers are."""
        deadline = time.monotonic() + CLOSE_SECONDS
        while not self._stopped.is_set():
            rows = await connection.fetch(_SQL["offsets"], list(self._topics))
            reached = {TopicPartition(topic, partition): offset for topic, partition, offset in rows}
            if all(reached.get(tp, 0) >= offset for tp, offset in wanted.items()):
                return True
            if time.monotonic() > deadline:
                return False
            await self._pause(BUILDING_SECONDS)
        return False

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
        except TimeoutError:
            pass


async def has_owner(connection: Any, generation: str) -> bool:
    """Whether a worker that lives writes *generation*."""
    return bool(await connection.fetchval(_SQL["has_owner"].format(generation=generation)))


async def halted(connection: Any, generation: str) -> list[str]:
    """The partitions in which nothing more is applied to *generation*, each with the reason."""
    rows = await connection.fetch(_SQL["halts"].format(generation=generation))
    return [f"{topic}/{partition} is halted: {reason}" for topic, partition, reason in rows]
