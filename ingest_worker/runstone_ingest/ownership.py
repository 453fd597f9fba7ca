r"""Which partitions are ours, from which offset on.

Two parties must agree before a record counts. Kafka's group assigns partitions: the rebalance listener only
writes down what it said, because what a listener raises is swallowed and because records may arrive before it
has finished. Then the writing task takes each partition in Postgres (`Ownership.take`): it raises the
partition's epoch, which makes every older owner's compare-and-set fail, and reads the offset, which is the
truth; only now is the partition *held*, its fetch position set and its fetching resumed. Whatever arrives for
a partition that is not held is thrown away.

    not assigned --assigned--> paused --take--> proving --the record before it is the one applied last--> held
         ^                                         \--another one is there, or none--> halted
         +-------- revoked, connection lost, compare-and-set failed: back, and taken again if assigned ------+

The first record fetched is the one applied last, whose hash must be the one stored: a broker that lost its
tail and uses offsets again is noticed, and the partition halts with a loud line instead of skipping.

Everything here runs in one event loop; the methods without ``async`` are atomic to the others. ``round``
counts the changes of what is held or where fetching stands: who awaited a fetch across a change throws the
result away and calls `rewind`.
"""

import asyncio
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
from aiokafka import ConsumerRebalanceListener, TopicPartition

from runstone_ingest.records import Record
from runstone_store import named_sql

_SQL: Final = named_sql.load(__file__, "ownership.sql")

_PATIENCE: Final = 3
"""How often a fetch of the last applied record may bring another offset before the partition halts: a buffer
that was filled before the position was set can be to blame for the first."""


@dataclass(slots=True, eq=False)
class Holding:
    """One partition that is ours. Identity is what counts: after a loss there is a new one.

    Attributes:
        next_offset: the first one that is not committed. position: the first one that is not gathered.
        last_hash: of the record before ``next_offset`` that was applied last; None before the first.
        proving: the record applied last has yet to be seen again.
    """

    topic: str
    partition: int
    epoch: int
    next_offset: int
    position: int
    last_hash: bytes | None
    proving: bool
    mismatches: int = 0

    @property
    def fetch_from(self) -> int:
        """Where fetching must stand."""
        return self.position - 1 if self.proving else self.position


class Ownership(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """The partitions of one consumer in a group; also its rebalance listener."""

    def __init__(self, owner: str, wake: asyncio.Event) -> None:
        """*owner* names this worker for people; *wake* is set whenever there is something to take."""
        self._owner = owner
        self._wake = wake
        self._consumer: Any = None
        self._assigned: frozenset[TopicPartition] = frozenset()
        self._halted: set[TopicPartition] = set()
        self.held: dict[TopicPartition, Holding] = {}
        self.round = 0
        self.assigned_once = False

    def attach(self, consumer: Any) -> None:
        """The consumer whose positions are set; before anything is assigned."""
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002 - eager
        """Nothing is ours until the group has assigned anew. Called by aiokafka."""
        self._assigned = frozenset()
        self._release()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Write down what the group says; fetching waits for `take`. Called by aiokafka."""
        self._assigned = frozenset(assigned)
        self._release()
        for tp in self._assigned:
            self._consumer.pause(tp)
            self._consumer.seek(tp, 0)  # any valid position: without one aiokafka would ask for Kafka's own
        self.assigned_once = True

    def _release(self) -> None:
        self.held.clear()
        self.round += 1
        self._wake.set()

    def lose_all(self) -> None:
        """The connection is gone, or another worker wrote: take everything that is assigned again."""
        for tp in self.held:
            self._consumer.pause(tp)
        self._release()

    @property
    def wanting(self) -> bool:
        """Whether something is assigned that was not taken yet."""
        return len(self.held) + len(self._halted & self._assigned) < len(self._assigned)

    async def take(self, connection: Any) -> None:
        """Take over what is assigned and not held, over the asyncpg *connection*, which then owns it.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: nothing is held that was not before.
        """
        began = self.round
        missing = sorted(self._assigned - self.held.keys() - self._halted)
        await connection.execute(
            _SQL["ensure_partitions"], [tp.topic for tp in missing], [tp.partition for tp in missing]
        )
        taken = {tp: await self._take(connection, tp) for tp in missing}
        if began != self.round:
            return  # assigned anew meanwhile; the caller sees that something is wanting
        self.held.update(taken)
        self.round += 1
        self.rewind(taken)
        for tp in taken:
            self._consumer.resume(tp)

    async def _take(self, connection: Any, tp: TopicPartition) -> Holding:
        while True:
            try:
                row = await connection.fetchrow(_SQL["take_partition"], tp.topic, tp.partition, self._owner)
                break
            except asyncpg.LockNotAvailableError:
                _say(
                    f"{tp.topic}/{tp.partition}: its owner holds its row for too long, ending the connection"
                )
                await connection.execute(_SQL["terminate_owner"], tp.topic, tp.partition)
        epoch, next_offset, last_hash = row
        return Holding(
            tp.topic, tp.partition, epoch, next_offset, next_offset, last_hash, proving=next_offset > 0
        )

    def rewind(self, which: Iterable[TopicPartition] | None = None) -> None:
        """Set the fetch position of held partitions (by default all) to what is gathered next."""
        for tp in list(self.held if which is None else which):
            self._consumer.seek(tp, self.held[tp].fetch_from)

    def accept(self, tp: TopicPartition, records: list[Record]) -> tuple[Holding | None, list[Record]]:
        """Which of *records*, fetched in this round, are next; the holding is None where none are."""
        holding = self.held.get(tp)
        if holding is None:
            return None, []
        if holding.proving and records:
            if not self._prove(tp, holding, records[0]):
                return None, []
            records = records[1:]
        new = [record for record in records if record.offset >= holding.position]
        if new:
            holding.position = new[-1].offset + 1
        return holding, new

    def _prove(self, tp: TopicPartition, holding: Holding, record: Record) -> bool:
        expected = holding.position - 1
        if record.offset == expected and record.hash() == holding.last_hash:
            holding.proving = False
            return True
        holding.mismatches += 1
        if record.offset != expected and holding.mismatches < _PATIENCE:
            self._consumer.seek(tp, expected)
            return False
        found = "another record" if record.offset == expected else f"offset {record.offset} instead"
        self.halt(tp, f"expected at offset {expected} the record that was applied last, found {found}")
        return False

    def halt(self, tp: TopicPartition, why: str) -> None:
        """Apply nothing more of a partition whose log is not the one that was applied; say so loudly."""
        _say(
            f"HALTED {tp.topic}/{tp.partition}: {why}. Kafka has lost or replaced records that the read "
            f"model was made from; nothing more of this partition is applied until that is repaired and the "
            f"worker is started again (docs/read-model.md, 'A partition that halts')"
        )
        self._halted.add(tp)
        self._consumer.pause(tp)
        self.held.pop(tp, None)
        self.round += 1


async def claim_place(connection: Any) -> int:
    """This worker's place among the workers of the database: the lowest number that nobody holds.

    It belongs to the connection, so a worker that died has given it back, and whoever is started next takes
    it over, with its name in the consumer group and its partitions, without waiting for a session to expire.
    """
    place = 1
    while not await connection.fetchval(_SQL["claim_place"], place):
        place += 1
    return place


async def reclaim_place(connection: Any, place: int) -> bool:
    """Whether *place*, which an older connection of ours held, is now this connection's."""
    return bool(await connection.fetchval(_SQL["claim_place"], place))


def _say(line: str) -> None:
    print(f"runstone worker: {line}", file=sys.stderr, flush=True)
