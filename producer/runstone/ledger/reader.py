"""Fetches the records that a choice asks for and gives their events.

One consumer without a group, so that nothing of the workers' is moved, used by one task. ``getmany`` is never
cancelled but by whoever throws the whole reader away (aiokafka leaks its fetch counter, which then goes with
the consumer): waiting for what is yet to come is a loop of short fetches.

An experiment's runs are known only to the topics, so to read those of one the events are read from their
beginning, whatever moment or position is asked for; most records are passed over without being decoded.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from runstone.events import CATALOG, decode, identity, limits
from runstone.events.types import InstallationCreated
from runstone.exceptions import InvalidInputError, MalformedEnvelopeError, ServerError
from runstone.ledger import position
from runstone.ledger.choice import Choice
from runstone.ledger.items import LedgerEvent
from runstone.ledger.members import Members, Names
from runstone.ledger.unpacking import Unpacking
from runstone.sender.kafka_settings import kafka_settings

_POLL_MS: Final = 200
"""How long a fetch waits for records; they end the wait as soon as they are there."""

_FETCH_WAIT_MS: Final = 50
_LEAVE_S: Final = 5.0
"""What leaving Kafka may take: a broker that is away must not hold up whoever stops reading."""
"""How long a broker may hold a fetch open. One is in flight, and the end waits for it."""

_PATIENCE: Final = 30.0
"""Seconds without a record after which a broker that should have some is given up."""

_HOMES_MAX: Final = 100_000

Fetched = tuple[list[LedgerEvent], dict[int, int]]
"""Events of a record, and the offset to go on from in its partition; none of either when nothing is there."""


class EventReader:
    """An async iterator of `LedgerEvent`; `runstone.read_events` makes one.

    Nothing is connected before the first event is asked for. Leave it by ``async with``, or call
    ``await close()``, if you stop before its end.

    Attributes:
        idle: whether all that Kafka had handed over was given when `fetch` was called last.
    """

    def __init__(self, bootstrap: str, prefix: str, choice: Choice) -> None:
        self._bootstrap = bootstrap
        self._catalog = TopicPartition(f"{prefix}.catalog", 0)
        self._events = f"{prefix}.events"
        self._choice = choice
        self._offsets: dict[int, int] = dict(choice.start)
        self._waiting: deque[LedgerEvent] = deque()
        self._then: dict[int, int] = {}
        self._fetches: AsyncGenerator[Fetched, None] | None = None
        self.idle = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LedgerEvent:
        """The next event.

        Raises:
            StopAsyncIteration: there is none, and nothing is followed.
            ServerError: Kafka does not answer, or does not have what is asked for.
            NoSuchExperimentError: the experiment is not in the catalog.
        """
        while not self._waiting:
            if not await self.fetch():
                raise StopAsyncIteration
        event = self._waiting.popleft()
        following = self._waiting[0] if self._waiting else None
        place = self._place(event)
        same = following is not None and (self._place(following), following.offset) == (place, event.offset)
        self._offsets[place] = event.offset + (not same)
        if following is None:
            self._offsets |= self._then
        return event

    async def fetch(self) -> bool:
        """Wait for a record, or for a moment; False at the end. Iterating does this by itself.

        Raises:
            ServerError, NoSuchExperimentError: as iterating does.
        """
        if self._fetches is None:
            self._fetches = self._fetch()
        found = await anext(self._fetches, None)
        if found is None:
            return False
        events, self._then = found
        self.idle = not events and not self._then
        self._waiting.extend(events)
        if not self._waiting:
            self._offsets |= self._then
        return True

    @property
    def waiting(self) -> bool:
        """Whether the next event is here already."""
        return bool(self._waiting)

    @property
    def position(self) -> str:
        """Where to go on after the event that was given last, for ``read_events(position=…)``.

        It stands before the whole record while events of a record are left, which are then given again.
        """
        return position.to_text(self._offsets)

    async def close(self) -> None:
        """Leave Kafka; nothing more is given."""
        if self._fetches is not None:
            await self._fetches.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_raised: object) -> None:
        await self.close()

    def _place(self, event: LedgerEvent) -> int:
        return position.CATALOG if event.topic == self._catalog.topic else event.partition

    async def _fetch(self) -> AsyncGenerator[Fetched, None]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            client_id="runstone-events",
            group_id=None,
            auto_offset_reset="none",
            enable_auto_commit=False,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            max_partition_fetch_bytes=limits.TOPIC_MAX + limits.MIB,
            **kafka_settings(),
        )
        try:
            await consumer.start()
            session = _Session(consumer, self._catalog, self._events, self._choice)
            await session.begin()
            self._offsets = {**session.first, **self._offsets}
            async for fetched in session.run():
                yield fetched
        except OffsetOutOfRangeError as gone:
            raise ServerError(
                f"the topics at {self._bootstrap} do not have {gone.args[0]}; "
                "the position is of other topics, or they have lost records"
            ) from gone
        except (KafkaError, OSError) as failed:
            raise ServerError(
                f"Kafka at {self._bootstrap} does not answer as expected: {failed!r}"
            ) from failed
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LEAVE_S):
                    await consumer.stop()


class _Session:
    """One reading, from its begin to its end."""

    def __init__(self, consumer: Any, catalog: TopicPartition, events: str, choice: Choice) -> None:
        self._consumer = consumer
        self._catalog = catalog
        self._events = events
        self._choice = choice
        self._partitions = 0
        self._members: Members | None = None
        self._key = choice.run_id.encode() or None
        self._unpacking = Unpacking()
        self._homes: dict[str, int] = {}
        self._kept: dict[str, list[Any]] = {}
        self._low: dict[TopicPartition, int] = {}
        self._over: set[TopicPartition] = set()
        self.first: dict[int, int] = {}

    async def begin(self) -> None:
        """Find out what to read and from where."""
        consumer, choice = self._consumer, self._choice
        missing = {self._catalog.topic, self._events} - await consumer.topics()
        if missing:
            raise ServerError(f"the topic {min(missing)} is not there; is RUNSTONE_TOPIC_PREFIX right?")
        names = await self._read_catalog()
        if choice.experiment is not None:
            self._members = Members(names.find(choice.experiment))
        places = self._places()
        self._refuse_other_places(places)
        starts = await consumer.beginning_offsets(places)
        ends = await consumer.end_offsets(places)
        low = dict(starts)
        if choice.since is not None:
            found = await consumer.offsets_for_times(dict.fromkeys(places, choice.since))
            low = {tp: at.offset if (at := found[tp]) is not None else ends[tp] for tp in places}
        for number, offset in choice.start.items():
            tp = self._at(number)
            if tp in low:
                low[tp] = offset
        self._low = low
        self.first = {self._number(tp): offset for tp, offset in low.items()}
        consumer.assign(places)
        for tp in places:
            consumer.seek(tp, starts[tp] if self._members is not None else low[tp])

    async def _read_catalog(self) -> Names:
        """How many partitions streams are hashed by; and what experiments are called, if that is asked."""
        consumer, names = self._consumer, Names()
        end = (await consumer.end_offsets([self._catalog]))[self._catalog]
        consumer.assign([self._catalog])
        consumer.seek(self._catalog, (await consumer.beginning_offsets([self._catalog]))[self._catalog])
        while await consumer.position(self._catalog) < end:
            for record in (await consumer.getmany(timeout_ms=_POLL_MS)).get(self._catalog, ()):
                try:
                    events = decode(record.value or b"").events
                except MalformedEnvelopeError:
                    continue
                for event in events:
                    if isinstance(event, InstallationCreated):
                        self._partitions = self._partitions or event.partitions
                    names.apply(event)
            if self._partitions and self._choice.experiment is None:
                break
        if not self._partitions:
            raise ServerError(f"{self._catalog.topic} names no installation; run 'runstone topic create'")
        return names

    def _places(self) -> list[TopicPartition]:
        run_id = self._choice.run_id
        if run_id:
            return [self._catalog if run_id == CATALOG else TopicPartition(self._events, self._home(run_id))]
        events = [TopicPartition(self._events, number) for number in range(self._partitions)]
        return events if self._members is not None else [self._catalog, *events]

    def _refuse_other_places(self, places: list[TopicPartition]) -> None:
        other = [n for n in self._choice.start if self._at(n) not in {*places, self._catalog}]
        if other and not self._choice.run_id:
            raise InvalidInputError(
                f"the position names partition {other[0]}, of which there are {self._partitions}; "
                "it is of another installation"
            )

    def _at(self, number: int) -> TopicPartition:
        return self._catalog if number == position.CATALOG else TopicPartition(self._events, number)

    def _number(self, tp: TopicPartition) -> int:
        return position.CATALOG if tp == self._catalog else int(tp.partition)

    def _home(self, stream: str) -> int:
        """The partition of a stream; remembered, because hashing takes longer than looking up."""
        found = self._homes.get(stream)
        if found is None:
            if len(self._homes) >= _HOMES_MAX:
                self._homes.clear()
            found = self._homes[stream] = identity.partition_of(stream, self._partitions)
        return found

    async def run(self) -> AsyncGenerator[Fetched, None]:
        """Fetch until the end, or for ever."""
        places = set(self._consumer.assignment())
        ends = None if self._choice.follow else await self._ends(places)
        heard = time.monotonic()
        while ends is None or not await self._reached(ends):
            fetched = await self._consumer.getmany(timeout_ms=_POLL_MS)
            for tp, records in fetched.items():
                for record in records:
                    if ends is None or record.offset < ends[tp]:
                        yield self._give(record), self._go_on(tp, record.offset + 1)
            yield [], {}
            if fetched or ends is None:
                heard = time.monotonic()
            elif time.monotonic() - heard > _PATIENCE:
                raise ServerError(f"Kafka has sent nothing for {_PATIENCE:.0f} s; are the brokers well?")
            if ends is None and self._choice.until is not None and self._choice.until <= time.time() * 1000:
                ends = await self._ends(places)  # what was followed is over

    async def _reached(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Whether everything below *ends* was given; partitions of which it was are read no further."""
        for tp, end in ends.items():
            if tp not in self._over and await self._consumer.position(tp) >= end:
                self._over.add(tp)
                self._consumer.pause(tp)
        return len(self._over) == len(ends)

    async def _ends(self, places: set[TopicPartition]) -> Mapping[TopicPartition, int]:
        ends = await self._consumer.end_offsets(list(places))
        if self._choice.until is None:
            return dict(ends)
        found = await self._consumer.offsets_for_times(dict.fromkeys(places, self._choice.until))
        return {tp: at.offset if (at := found[tp]) is not None else ends[tp] for tp in places}

    def _go_on(self, tp: TopicPartition, offset: int) -> dict[int, int]:
        """Where to go on in *tp*: not behind records that are kept back."""
        kept = [r.offset for records in self._kept.values() for r in records if r.partition == tp.partition]
        return {self._number(tp): max(min([offset, *kept]), self._low[tp])}

    def _give(self, record: Any) -> list[LedgerEvent]:
        """The events of *record* that are asked for, and of those kept back until it came."""
        if self._key is not None and record.key != self._key:
            return []
        if self._members is None:
            return self._unpack(record)
        stream = (record.key or b"").decode(errors="replace")
        known = self._members.knows(stream)
        if known is None:
            self._learn(self._members, stream, record)
            known = self._members.knows(stream)
        if known is None:
            self._kept.setdefault(stream, []).append(record)
            return []
        before = self._kept.pop(stream, [])
        if not known:
            return []
        return [event for one in (*before, record) for event in self._unpack(one)]

    @staticmethod
    def _learn(members: Members, stream: str, record: Any) -> None:
        if not members.may_tell(record.value or b""):
            return
        try:
            events = decode(record.value).events
        except MalformedEnvelopeError:
            return
        for event in events:
            members.learn(stream, event)

    def _unpack(self, record: Any) -> list[LedgerEvent]:
        tp = TopicPartition(record.topic, record.partition)
        stream = (record.key or b"").decode(errors="replace")
        events = self._unpacking.unpack(record, None if tp == self._catalog else self._home(stream))
        return events if record.offset >= self._low[tp] else []
