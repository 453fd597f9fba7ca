"""The writing task: from the batch that gathered into Postgres.

It is the only one that uses the connection, so nothing of it needs a lock: it takes partitions over, loads
the rows a batch meets, projects, writes, tells those who wait for offsets, and between batches refreshes the
ranking of metrics. When Postgres fails in whatever way, everything held, remembered and gathered is dropped,
and after a back-off begun again from the offsets in the database: whether a transaction was committed is
asked there and nowhere else.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from aiokafka import TopicPartition

from runstone_ingest import dead_letters, poison, writer
from runstone_ingest.back_off import POSTGRES_FAULTS, BackOff
from runstone_ingest.batching import Gathered, Gathering
from runstone_ingest.course import Course
from runstone_ingest.exceptions import IngestError, NotOurPartitionError, RefusedRowsError
from runstone_ingest.loading import Memory
from runstone_ingest.ownership import Holding, Ownership, claim_place, reclaim_place
from runstone_ingest.projector import project
from runstone_ingest.projector.projection import needed
from runstone_ingest.projector.rows import Changes
from runstone_ingest.records import Admitted, DeadLetter
from runstone_ingest.unmerged import Unmerged
from runstone_store import generations, pool
from runstone_store.exceptions import NoSuchGenerationError, NotMigratedError
from runstone_store.generations import Generation

RANK_SECONDS: Final = 3.0
"""How old the searchable copy of a running run's latest values gets; twice that while batches keep coming."""

LOOK_SECONDS: Final = 1.0
"""How often a worker whose partition halts looks whether that was ended."""

_PLACE_TRIES: Final = 45


class Writing:
    """Writes for one worker until *stop*.

    Attributes:
        place: this worker's place among the workers. generation: the schema it writes; from `connect` on.
        committed: per partition the next offset in Postgres; whoever signals it to Kafka empties it.
    """

    def __init__(
        self,
        dsn: str,
        ownership: Ownership,
        gathering: Gathering,
        wake: asyncio.Event,
        stop: asyncio.Event,
        ready: Callable[[], None],
        course: Course,
        unmerged: Unmerged,
        generation: str = "",
    ) -> None:
        """*wake*: set by whoever has something to do for this task; *ready* is called once.

        *generation*: the schema to write; empty: the one that is live at the start.
        """
        self._dsn = dsn
        self._ownership = ownership
        self._gathering = gathering
        self._wake = wake
        self._stop = stop
        self._ready: Callable[[], None] | None = ready
        self._back_off = BackOff(stop)
        self._connection: Any = None
        self._memory = Memory()
        self._unranked: dict[str, tuple[str, int]] = {}
        self._ranked_at = 0.0
        self._looked_at = 0.0
        self.place = 0
        self.generation = generation
        self._course = course
        self._unmerged = unmerged
        self.committed: dict[TopicPartition, int] = {}

    async def connect(self) -> None:
        """Connect to the generation, and wait until that is possible or the stop comes.

        Raises:
            IngestError: another worker has taken this one's place while the connection was away.
        """
        refused = 0
        while not self._stop.is_set():
            connection = None
            try:
                connection = await pool.connect_writer(self._dsn, "runstone worker")
                generation = self.generation or await generations.live(connection)
                if not self._course.begin(await _found(connection, generation)):
                    connection.terminate()
                    return
                await connection.execute(f"SET search_path TO {generation}")
                if not self.place:
                    self.place = await claim_place(connection)
                elif not await reclaim_place(connection, self.place):
                    connection.terminate()
                    refused += 1
                    if refused == _PLACE_TRIES:
                        raise IngestError(
                            f"another worker has taken place {self.place}, which was this one's until its "
                            f"connection to Postgres broke; start it again to get another"
                        )
                    await self._back_off.wait(f"the place {self.place} among the workers is not free yet")
                    continue
            except NotMigratedError as wrong:
                await self._back_off.wait(str(wrong))
            except POSTGRES_FAULTS as failed:
                await self._back_off.wait(f"Postgres does not answer, trying again: {failed!r}")
            else:
                self._connection, self.generation = connection, generation
                return
            if connection is not None:
                connection.terminate()

    def close(self) -> None:
        """Let the connection go; only after `run` has ended."""
        if self._connection is not None:
            self._connection.terminate()

    async def run(self) -> None:
        """Write until the stop.

        Raises:
            IngestError: this worker cannot go on as it is; see `connect`.
        """
        while not self._stop.is_set():
            try:
                await self._turn()
            except NotOurPartitionError as lost:
                self._drop()
                await self._back_off.wait(str(lost))
            except POSTGRES_FAULTS as failed:
                self._drop()
                await self._back_off.wait(f"Postgres failed, trying again: {failed!r}")

    async def _turn(self) -> None:
        if self._connection.is_closed():
            await self.connect()
            return
        self._wake.clear()
        if self._ownership.wanting:
            self._memory.clear()
            await self._ownership.take(self._connection)
        if self._ownership.halted and time.monotonic() - self._looked_at >= LOOK_SECONDS:
            await self._ownership.look_at_halts(self._connection)
            self._looked_at = time.monotonic()
        if self._ready is not None and self._ownership.assigned_once and not self._ownership.wanting:
            self._ready()
            self._ready = None
        if batch := self._gathering.take():
            await self._apply(batch)
            self._back_off.healed()
        overdue = time.monotonic() - self._ranked_at
        if self._unranked and overdue >= (2 if batch else 1) * RANK_SECONDS:
            await self._rank()
        elif not batch and not self._wake.is_set():
            waits = [RANK_SECONDS - overdue] if self._unranked else []
            await self._sleep(min([*waits, LOOK_SECONDS] if self._ownership.halted else waits, default=None))

    async def _sleep(self, seconds: float | None) -> None:
        """Until there is something to do, or the ranking is due in *seconds*."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _drop(self) -> None:
        self._memory.clear()
        self._unranked.clear()
        self._gathering.take()
        self._ownership.lose_all()

    async def _apply(self, batch: Sequence[Gathered]) -> None:
        """Write *batch*, up to where a partition's breaker trips."""
        kept, tripped = poison.cut(batch, time.monotonic())
        await self._write(kept)
        self._halt(tripped)

    def _halt(self, tripped: Mapping[Holding, str]) -> None:
        for holding, why in tripped.items():
            tp = TopicPartition(holding.topic, holding.partition)
            if self._ownership.held.get(tp) is holding:
                self._ownership.halt(tp, "poison", why)

    async def _write(self, batch: Sequence[Gathered]) -> None:
        """Write *batch*; where Postgres refuses a value, find the record that holds it and bury that one."""
        held = set(self._ownership.held.values())
        current = [one for one in batch if one.holding in held]
        if not current:
            return
        try:
            await self._transact(current)
        except RefusedRowsError as refused:
            if len(current) > 1:
                half = len(current) // 2
                await self._write(current[:half])
                await self._write(current[half:])
                return
            (one,) = current
            if isinstance(one.item, DeadLetter):
                raise IngestError(
                    f"{one.item.record.topic}/{one.item.record.partition} offset {one.item.record.offset} "
                    f"cannot even become a dead letter: {refused}"
                ) from refused
            address = dead_letters.address_of(one.item.envelope)
            letter = DeadLetter(one.item.record, str(refused), address, accountable=True)
            await self._transact([Gathered(one.holding, letter)])

    async def _transact(self, batch: Sequence[Gathered]) -> None:
        items = [one.item for one in batch]
        changes = project(items, await self._memory.load(self._connection, needed(items)))
        last = {one.holding: one.item.record for one in batch}
        advances = [
            writer.Advance(
                holding.topic,
                holding.partition,
                holding.epoch,
                holding.next_offset,
                record.offset + 1,
                record.hash(),
                changes.tallies[holding.topic, holding.partition],
            )
            for holding, record in last.items()
        ]
        await writer.write(self._connection, advances, changes)
        for holding, advance in zip(last, advances, strict=True):
            holding.advance(advance.next_offset, advance.last_hash)
            self.committed[TopicPartition(holding.topic, holding.partition)] = advance.next_offset
        self._memory.committed(changes)
        self._halt(poison.note(batch, time.monotonic()))
        self._note_points(batch, changes)
        await writer.tell_applied(self._connection, self.generation)

    def _note_points(self, batch: Sequence[Gathered], changes: Changes) -> None:
        """Runs that got points are to be ranked and merged."""
        if not changes.segments:
            return
        homes = {
            one.item.envelope.stream: TopicPartition(one.holding.topic, one.holding.partition)
            for one in batch
            if isinstance(one.item, Admitted)
        }
        self._unmerged.wrote(changes.segments, homes.__getitem__, time.monotonic())
        for run_id in {segment.run_id for segment in changes.segments}:
            if changes.runs[run_id].status == "RUNNING":
                self._unranked[run_id] = homes[run_id]

    async def _rank(self) -> None:
        held = {(h.topic, h.partition): h.epoch for h in self._ownership.held.values()}
        runs = [run_id for run_id, home in self._unranked.items() if home in held]
        self._unranked.clear()
        self._ranked_at = time.monotonic()
        if runs:
            await writer.rank(self._connection, [(*home, epoch) for home, epoch in held.items()], runs)


async def _found(connection: Any, generation: str) -> Generation | None:
    try:
        return await generations.find(connection, generation)
    except NoSuchGenerationError:
        return None
