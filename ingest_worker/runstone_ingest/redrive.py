"""Redrive: a stream's rows are thrown away and made again from the topic, by today's projector.

One dead letter cannot simply be applied late: what comes of a record depends on those before it. So the whole
stream is gone through again, in one transaction, and afterwards the read model is what a replay of the topic
makes of it. Doing it again changes nothing.

The stream's records are read into a temporary file first, while ingest goes on (`_gather`). Then the
transaction raises the partition's epoch, which locks its row and makes its worker forget what it remembers
(its next write finds nothing and it takes the partition again), reads what has come meanwhile, and applies
the file in batches: memory does not grow with the stream, and ingest of that one partition waits for as long
as this takes. Readers see the old rows until the commit.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
from aiokafka import TopicPartition

from runstone.events import CATALOG, identity
from runstone_ingest import dead_letters, scanning, writer
from runstone_ingest.exceptions import IngestError, RefusedRowsError
from runstone_ingest.kept_records import KeptRecords
from runstone_ingest.loading import Memory
from runstone_ingest.marks import Mark
from runstone_ingest.projector import project
from runstone_ingest.projector.projection import Item, needed
from runstone_ingest.records import DeadLetter, Record
from runstone_store import named_sql
from runstone_store.configuration import catalog_topic, events_topic

_SQL: Final = named_sql.load(__file__, "redrive.sql")

LETTERS: Final = named_sql.load(__file__, "dead_letters.sql")
"""What is asked about dead letters."""

BATCH_BYTES: Final = 4 << 20
CLOSE: Final = 10_000
"""Offsets that may be read while ingest of the partition waits."""


@dataclass(frozen=True, slots=True)
class Redriven:
    """What became of a stream: how many records it has, and how many were and are dead letters."""

    stream: str
    records: int
    dead_before: int
    dead: int


@dataclass(slots=True)
class _Counts:
    """The stream's records as they were counted before and as they are counted now."""

    letters: dict[int, Any]
    old_marks: dict[str, Mark] = field(default_factory=dict)
    old_duplicates: int = 0
    records: int = 0
    duplicates: int = 0
    dead: int = 0

    def note_old(self, stream: str, item: Item) -> None:
        """What the record counted as while the dead letters were those in ``letters``."""
        letter = self.letters.get(item.record.offset)
        if letter is not None:
            if letter["stream"] == stream:
                self._old(letter["session"]).leave_out(letter["first_seq"] + letter["n"])
            return
        address = item.address if isinstance(item, DeadLetter) else dead_letters.address_of(item.envelope)
        if address is not None:
            new = self._old(address.session).claim(address.first_seq, address.first_seq + address.n)
            self.old_duplicates += not new

    def _old(self, session: str) -> Mark:
        return self.old_marks.setdefault(session, Mark())


def as_record(letter: Any) -> Record:
    """The record that a row of ``dead_letters`` holds."""
    headers = [(name, base64.b64decode(value)) for name, value in letter["headers"]]
    return Record(
        letter["topic"], letter["partition"], letter["offset"], letter["key"], letter["value"], headers
    )


class Redrive:
    """Redrives streams over one asyncpg connection, whose search_path is the generation."""

    def __init__(self, bootstrap: str, prefix: str, partitions: int, connection: Any) -> None:
        """*partitions*: what streams are hashed by."""
        self._bootstrap = bootstrap
        self._prefix = prefix
        self._partitions = partitions
        self._connection = connection

    def home(self, stream: str) -> TopicPartition:
        """The partition that carries *stream*."""
        if stream == CATALOG:
            return TopicPartition(catalog_topic(self._prefix), 0)
        return TopicPartition(events_topic(self._prefix), identity.partition_of(stream, self._partitions))

    def judge(self, record: Record) -> Item:
        """What today's rules say of *record*."""
        catalog = record.topic == catalog_topic(self._prefix)
        return dead_letters.admit(
            record, catalog, lambda stream: identity.partition_of(stream, self._partitions)
        )

    async def run(self, stream: str) -> Redriven:
        """Make the rows of *stream* again.

        Raises:
            IngestError: the log is not (or no longer) the one that was applied; nothing was changed.
            OSError, asyncpg.PostgresError: Postgres fails; nothing was changed, or all of it.
        """
        tp = self.home(stream)
        async with scanning.reader(self._bootstrap, "runstone-redrive") as consumer:
            with KeptRecords(*tp) as kept:
                gathering = _Gathering(consumer, tp, stream.encode(), kept)
                await self._come_close(gathering, tp)
                async with self._connection.transaction():
                    await gathering.until(*await self._place("fence", tp))
                    return await self._make_again(stream, tp, kept)

    async def _come_close(self, gathering: "_Gathering", tp: TopicPartition) -> None:
        """Gather while ingest goes on, until what is left is soon read."""
        reached = 0
        while True:
            end, last_hash = await self._place("place", tp)
            await gathering.until(end, last_hash)
            if end - reached < CLOSE:
                return
            reached = end

    async def _place(self, block: str, tp: TopicPartition) -> tuple[int, bytes | None]:
        try:
            row = await self._connection.fetchrow(_SQL[block], *tp)
        except asyncpg.LockNotAvailableError as busy:
            raise IngestError(
                f"{tp.topic}/{tp.partition}: another transaction holds it for too long; try again"
            ) from busy
        if row is None:
            raise IngestError(f"{tp.topic}/{tp.partition}: no worker has applied anything of it yet")
        return row["next_offset"], row["last_hash"]

    async def _make_again(self, stream: str, tp: TopicPartition, kept: KeptRecords) -> Redriven:
        letters = await self._connection.fetch(_SQL["take_dead_letters"], *tp, stream.encode())
        if stream == CATALOG:
            await self._connection.execute(_SQL["delete_catalog_stream"], stream)
            await self._connection.execute(_SQL["reset_default_experiment"])
        else:
            await self._exclude_merging(stream)
            await self._connection.execute(_SQL["delete_run_stream"], stream)
        counts = _Counts({letter["offset"]: letter for letter in letters})
        memory = Memory()
        for batch in _batches(map(self.judge, kept)):
            for item in batch:
                counts.note_old(stream, item)
            await self._apply(batch, memory, counts)
        if letters:
            await self._connection.execute(
                _SQL["restore_times"], *tp, list(counts.letters), [letter["at"] for letter in letters]
            )
        if stream != CATALOG:
            await writer.rank_again(self._connection, [stream])
        await self._connection.execute(
            _SQL["recount"], *tp, counts.duplicates - counts.old_duplicates, counts.dead - len(letters)
        )
        return Redriven(stream, kept.count, len(letters), counts.dead)

    async def _exclude_merging(self, stream: str) -> None:
        try:
            await self._connection.execute(_SQL["exclude_merging"], stream)
        except asyncpg.LockNotAvailableError as busy:
            raise IngestError(
                f"{stream}: a worker that does not go on is merging its points; try again in a minute"
            ) from busy

    async def _apply(self, batch: Sequence[Item], memory: Memory, counts: _Counts) -> None:
        """As the worker does: where Postgres refuses a value, the record that holds it is buried."""
        changes = project(batch, await memory.load(self._connection, needed(batch)))
        try:
            await writer.write_again(self._connection, changes)
        except RefusedRowsError as refused:
            if len(batch) > 1:
                half = len(batch) // 2
                await self._apply(batch[:half], memory, counts)
                await self._apply(batch[half:], memory, counts)
                return
            (item,) = batch
            if isinstance(item, DeadLetter):
                raise
            address = dead_letters.address_of(item.envelope)
            await self._apply(
                [DeadLetter(item.record, str(refused), address, accountable=True)], memory, counts
            )
            return
        memory.committed(changes)
        for tally in changes.tallies.values():
            counts.records += tally.records
            counts.duplicates += tally.duplicates
            counts.dead += tally.dead


def _batches(items: Iterable[Item]) -> Iterable[list[Item]]:
    batch: list[Item] = []
    size = 0
    for item in items:
        batch.append(item)
        size += item.record.size()
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Gathering:
    """Keeps the records of one partition that bear *key*, on from where it stands."""

    def __init__(self, consumer: Any, tp: TopicPartition, key: bytes, kept: KeptRecords) -> None:
        self._consumer = consumer
        self._tp = tp
        self._key = key
        self._kept = kept
        self._next = 0
        self._last: Record | None = None

    async def until(self, end: int, last_hash: bytes | None) -> None:
        """Go on to *end*, the offset that the read model stands at, behind a record with *last_hash*.

        Raises:
            IngestError: the log does not hold all of what was applied, or holds something else.
        """
        first, behind = await scanning.bounds(self._consumer, self._tp)
        where = f"{self._tp.topic}/{self._tp.partition}"
        if first > 0 or behind < end:
            raise IngestError(
                f"{where}: Kafka holds offsets {first} to {behind}, expected 0 to {end}: what is missing "
                f"there is in the read model only, so making rows again would lose it. Nothing was changed"
            )
        if end > self._next:
            async for record in scanning.records(self._consumer, self._tp, self._next, end):
                self._last = record
                if record.key == self._key:
                    self._kept.keep(record)
            self._next = end
        if last_hash is not None and (self._last is None or self._last.hash() != last_hash):
            raise IngestError(
                f"{where}: the record before offset {end} is not the one that was applied last: Kafka holds "
                f"another log than the one that the read model was made from. Nothing was changed"
            )
