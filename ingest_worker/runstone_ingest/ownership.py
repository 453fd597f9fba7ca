r"""Which partitions are ours, from which offset on.

Two parties must agree before a record counts. Kafka's group assigns partitions: the rebalance listener only
writes down what it said, because what a listener raises is swallowed and because records may arrive before it
has finished. Then the writing task takes each partition in Postgres (`Ownership.take`): it raises the
partition's epoch, which makes every older owner's compare-and-set fail, and reads the offset, which is the
truth; only now is the partition *held*, its fetch position set and its fetching resumed. Whatever arrives for
a partition that is not held is thrown away. The states of one partition in one worker:

::

                              revoked, connection lost, compare-and-set failed (from every state)
        ┌───────────────────────────────────────────┬────────────────────────────────────┐
        ▼                                           │                                    │
    not ours ──assigned──► assigned ──take──► proving ──the record before is the one──► held
    (default)              (paused)   │   (fetching the    that was applied last         │
                              ▲       │   record before)                                 │
                              │       │          │ another one is there, or none         │ offset lost,
                              │       │ a halt   ▼                                       │ log rewritten,
                              │       └────────► halted ◄────────────────────────────────┘ too many bad
                              │                  (paused)                                  records
                              └─── runstone repair ─┘

- **assigned**: Kafka's group says that it is ours. Nothing is fetched.
- **proving**: taken. The first record fetched must be the one applied last, with the hash that is stored: a
  broker that lost its tail and used offsets again is noticed here. Left out where nothing was applied yet.
- **held**: records are accepted, from ``position`` on.
- **halted**: nothing more is applied, by no worker, until somebody decides: the row in ``halts`` outlives
  this process. `look_at_halts` sees that it is gone. A halt begins in memory (`halt`, whoever notices) and is
  written down by the writing task (`save_halts`) unless the partition was lost meanwhile; then the next owner
  notices by itself.

Everything here runs in one event loop; the methods without ``async`` are atomic to the others, the others are
the writing task's. ``round`` counts the changes of what is held or where fetching stands: who awaited a fetch
across a change throws the result away and calls `rewind`.
"""

import asyncio
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import asyncpg
from aiokafka import ConsumerRebalanceListener, TopicPartition

from runstone._version import __version__
from runstone_ingest.breaker import Breaker
from runstone_ingest.records import Record
from runstone_store import named_sql

_SQL: Final = named_sql.load(__file__, "ownership.sql")

_PATIENCE: Final = 3
"""How often a fetch of the last applied record may bring another offset before the partition halts: a buffer
that was filled before the position was set can be to blame for the first."""

_WHAT_TO_DO: Final = (
    "Nothing more of this partition is applied until that is decided: see 'runstone repair list' "
    "(docs/read-model.md, 'A partition that halts')"
)

HaltKind = Literal["lost", "rewritten", "recreated", "poison"]
"""Why a partition halts; docs/read-model.md says what each means and what to do."""


@dataclass(frozen=True, slots=True)
class _Halt:
    """One that is not written down yet; ``epoch`` is the one under which it was noticed."""

    kind: HaltKind
    reason: str
    epoch: int


@dataclass(slots=True, eq=False)
class Holding:
    """One partition that is ours. Identity is what counts: after a loss there is a new one.

    Attributes:
        next_offset: the first one that is not committed. position: the first one that is not gathered.
        last_hash: of the record before ``next_offset`` that was applied last; None before the first.
        proving: the record applied last has yet to be seen again.
        breaker: counts bad records. dead_accepted_until: below this offset it does not.
        witness: offset and hash of the record before the longest pause since somebody looked (`seen`): if a
            broker lost records and others took their offsets, then most probably during a pause.
    """

    topic: str
    partition: int
    epoch: int
    next_offset: int
    position: int
    last_hash: bytes | None
    proving: bool
    dead_accepted_until: int = 0
    mismatches: int = 0
    breaker: Breaker = field(default_factory=Breaker)
    witness: tuple[int, bytes] | None = None
    _pause: float = -1.0
    _moved_at: float = field(default_factory=time.monotonic)

    def advance(self, next_offset: int, last_hash: bytes) -> None:
        """A transaction was committed that ends with the record before *next_offset*."""
        now = time.monotonic()
        if self.last_hash is not None and now - self._moved_at > self._pause:
            self._pause = now - self._moved_at
            self.witness = self.next_offset - 1, self.last_hash
        self._moved_at = now
        self.next_offset, self.last_hash = next_offset, last_hash

    def seen(self) -> None:
        """The witness was compared with the log."""
        self._pause, self.witness = -1.0, None

    @property
    def fetch_from(self) -> int:
        """Where fetching must stand."""
        return self.position - 1 if self.proving else self.position


class Ownership(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """The partitions of one consumer in a group; also its rebalance listener."""

    def __init__(self, owner: str, wake: asyncio.Event) -> None:
        """*owner* names this worker for people; *wake* is set whenever there is something to take.

        ``installation_id`` is the one that the topics name; set it before anything is taken.
        """
        self._owner = owner
        self.installation_id = ""
        self._wake = wake
        self._consumer: Any = None
        self._assigned: frozenset[TopicPartition] = frozenset()
        self._halted: set[TopicPartition] = set()
        self._unsaved: dict[TopicPartition, _Halt] = {}
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
        self._halted.clear()  # whoever takes them finds those that are written down
        self._unsaved.clear()
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
        return len(self.held) + len(self._halted) < len(self._assigned)

    @property
    def halted(self) -> bool:
        """Whether one of the partitions that are assigned halts."""
        return bool(self._halted)

    async def take(self, connection: Any) -> None:
        """Take over what is assigned and not held, over the asyncpg *connection*, which then owns it.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: nothing is held that was not before.
        """
        began = self.round
        missing = sorted(self._assigned - self.held.keys() - self._halted)
        places = [tp.topic for tp in missing], [tp.partition for tp in missing]
        await connection.execute(_SQL["ensure_partitions"], *places)
        await connection.execute(_SQL["end_halts_of_other_versions"], *places, __version__)
        taken = {tp: await self._take(connection, tp) for tp in missing}
        halts = {
            TopicPartition(topic, partition): f"since {at:%Y-%m-%d %H:%M:%S} UTC: {reason}"
            for topic, partition, reason, at in await connection.fetch(_SQL["halts"], *places)
        }
        known = await connection.fetchval(_SQL["installation"])
        if began != self.round:
            return  # assigned anew meanwhile; the caller sees that something is wanting
        for tp, since in halts.items():
            del taken[tp]
            self._halted.add(tp)
            _say(f"HALTED {tp.topic}/{tp.partition} {since}. {_WHAT_TO_DO}")
        self.held.update(taken)
        self.round += 1
        if known is not None and known != self.installation_id:
            for tp, holding in taken.items():
                if holding.next_offset:
                    self.halt(
                        tp,
                        "recreated",
                        f"the topics belong to installation {self.installation_id}, the read model was made "
                        f"from those of {known}",
                    )
            taken = {tp: holding for tp, holding in taken.items() if tp in self.held}
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
        epoch, next_offset, last_hash, dead_accepted_until = row
        return Holding(
            tp.topic,
            tp.partition,
            epoch,
            next_offset,
            next_offset,
            last_hash,
            proving=last_hash is not None,
            dead_accepted_until=dead_accepted_until,
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
        self.halt(
            tp, "rewritten", f"expected at offset {expected} the record that was applied last, found {found}"
        )
        return False

    def out_of_range(self, tp: TopicPartition, offset: int) -> None:
        """Kafka says that *offset* of *tp* is not in its log."""
        holding = self.held.get(tp)
        if holding is not None and offset == holding.fetch_from:
            self.halt(tp, "lost", f"offset {offset}, from which on records are wanted, is not in Kafka's log")
        elif holding is not None:
            self._consumer.seek(tp, holding.fetch_from)  # the answer to an older question

    def halt(self, tp: TopicPartition, kind: HaltKind, why: str) -> None:
        """Apply nothing more of *tp*, which is held; say so loudly."""
        _say(f"HALTED {tp.topic}/{tp.partition}: {why}. {_WHAT_TO_DO}")
        self._unsaved[tp] = _Halt(kind, why, self.held.pop(tp).epoch)
        self._halted.add(tp)
        self._consumer.pause(tp)
        self.round += 1
        self._wake.set()

    async def save_halts(self, connection: Any) -> None:
        """Write down what was halted since; what has another owner by now is left to that one."""
        for tp, halt in list(self._unsaved.items()):
            await connection.execute(
                _SQL["save_halt"], tp.topic, tp.partition, halt.epoch, halt.kind, halt.reason, __version__
            )
            if self._unsaved.get(tp) is halt:
                del self._unsaved[tp]

    async def look_at_halts(self, connection: Any) -> None:
        """Forget the halts that `runstone repair` has ended; their partitions are wanting then."""
        await self.save_halts(connection)
        asked = sorted(self._halted)
        places = [tp.topic for tp in asked], [tp.partition for tp in asked]
        still = {TopicPartition(row[0], row[1]) for row in await connection.fetch(_SQL["halts"], *places)}
        if ended := set(asked) - still - self._unsaved.keys():
            self._halted -= ended
            self._wake.set()


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
