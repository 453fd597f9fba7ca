"""Appends this gateway's own events to the topics, and knows which offsets a read must have to see them.

Everything runs on the gateway's event loop. `append` is synchronous: it numbers, packs and queues, so what
decides about a write and the write itself happen without an await in between, and nothing else of this
gateway comes between them. The `Publisher` sends a partition's records strictly in order and keeps each
until it is acknowledged, also when whoever wrote it has long been answered with 503: a seq is never left
open. Only a record that the broker refuses for good is given up, by declaring its range.

The session is this process's own; seqs are dense per stream. After `STREAMS_MOST` streams a new session
begins, so that the table of next seqs stays bounded.

A read must have what this gateway wrote, and what lay in the topics when it started (its predecessor's
writes): ``at_least`` is the larger of both per partition. The latter is asked of Kafka once, when first
needed; until Kafka tells, reads say 503.
"""

import asyncio
import logging
import time
from array import array
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from runstone.events import CATALOG, Envelope, Event, PointTable, encode
from runstone.events.encoding import headers
from runstone.events.envelope import cut
from runstone.events.identity import new_session_id, partition_of
from runstone.events.limits import ENVELOPE_MAX
from runstone.events.types import RangeDeclared
from runstone.exceptions import InvalidInputError
from runstone.sender.kafka_settings import kafka_settings
from runstone.sender.publisher import Publisher, PublisherClosed, RecordRefused
from runstone_gateway.clock import now_ms
from runstone_gateway.configuration import Configuration
from runstone_gateway.end_offsets import EndOffsets
from runstone_gateway.installation import Facts, Installation
from runstone_gateway.outage import patience
from runstone_gateway.unavailable import KafkaAwayError

LOG: Final = logging.getLogger("runstone.gateway")

ACK_DEADLINE: Final = 10.0
"""Seconds that a request waits for Kafka before it is answered with 503.

When Kafka has not taken anything for as long, further writes are refused at once.
"""

STOP_DEADLINE: Final = 1.0
"""Seconds that a stopping gateway waits for what is not acknowledged yet, and again for Kafka to be left."""

STREAMS_MOST: Final = 50_000
"""Streams of one session, after which a new one begins."""

QUEUED_MOST: Final = 256 * 1024 * 1024
"""Bytes that wait for Kafka, above which a write is refused at once."""

Place = tuple[str, int]
"""A topic and the number of a partition."""

Needs = dict[str, dict[str, int]]
"""What a read must have: topic -> partition -> offset of the next record, as in ``Runstone-At-Least``."""


class Written:
    """One write on its way.

    Attributes:
        place: topic and partition.
        offset: of its last record, None until it is acknowledged.
        acknowledged: done when `offset` is known, or failed when the write will never be in the topic.
    """

    __slots__ = ("acknowledged", "offset", "place")

    def __init__(self, place: Place, acknowledged: "asyncio.Future[int]") -> None:
        self.place = place
        self.offset: int | None = None
        self.acknowledged = acknowledged

    async def wait(self, deadline: float = ACK_DEADLINE) -> int:
        """The offset of its last record.

        Raises:
            KafkaAwayError: not acknowledged in *deadline* seconds; the record stays queued.
            RecordRefused: the broker refuses it for good.
        """
        await asyncio.wait({self.acknowledged}, timeout=deadline)
        if not self.acknowledged.done():
            raise KafkaAwayError(
                f"Kafka has not acknowledged the write in {deadline:.0f} s; it is kept and sent when Kafka "
                "is back. The same request sent again joins it",
                retry_after=5,
            )
        try:
            return self.acknowledged.result()
        except PublisherClosed as closed:
            raise KafkaAwayError("this gateway stops; send the request again") from closed

    @property
    def needs(self) -> Needs:
        """What a read must have to see this write, once it is acknowledged."""
        assert self.offset is not None
        return {self.place[0]: {str(self.place[1]): self.offset + 1}}


class Ledger:
    """This gateway's session; see the module."""

    def __init__(self, configuration: Configuration, installation: Installation) -> None:
        self._configuration = configuration
        self._installation = installation
        self._ends = EndOffsets(configuration.bootstrap_servers)
        self._publisher: Publisher | None = None
        self._facts: Facts | None = None
        self._session = new_session_id()
        self._next_seq: dict[str, int] = {}
        self._floors: dict[Place, int] = {}
        self._produced: dict[Place, int] = {}
        self._applied: dict[Place, int] = {}
        self._pending: dict[str, Written] = {}
        self._queued = 0
        self._asking = asyncio.Lock()
        self._stopping = False
        self._trouble: tuple[str, float] | None = None

    async def start(self) -> None:
        """Nothing is connected yet; that happens when first needed."""
        self._publisher = Publisher(
            self._configuration.bootstrap_servers,
            kafka_settings(),
            on_trouble=self._on_trouble,
            client_id="runstone-gateway",
        )

    async def stop(self) -> None:
        """Wait a moment for what is not acknowledged, then leave Kafka; who still waits is told."""
        self._stopping = True
        if self._pending:
            await asyncio.wait({w.acknowledged for w in self._pending.values()}, timeout=STOP_DEADLINE)
        assert self._publisher is not None
        await asyncio.wait([asyncio.create_task(self._publisher.close())], timeout=STOP_DEADLINE)
        await self._ends.stop()

    async def ready(self) -> None:
        """Return once writes and reads are possible; called first by every request that needs the ledger.

        Raises:
            ServerError: the read API does not tell the installation's facts.
            KafkaAwayError: Kafka does not tell the ends of its topics.
        """
        if self._floors:
            return
        async with self._asking:
            if not self._floors:
                facts = await self._installation.facts()
                places = [(facts.topics["events"], p) for p in range(facts.partitions)]
                floors = await self._ends.ask([*places, (facts.topics["catalog"], 0)])
                self._facts, self._floors = facts, floors

    def place(self, stream: str) -> Place:
        """The partition that carries *stream*."""
        facts = self._known()
        if stream == CATALOG:
            return facts.topics["catalog"], 0
        return facts.topics["events"], partition_of(stream, facts.partitions)

    def append(self, stream: str, events: Sequence[Event], points: PointTable | None = None) -> Written:
        """Number, pack and queue *events* and then *points* behind everything written to *stream* before.

        Raises:
            KafkaAwayError: Kafka has been away for long, or too much waits for it; nothing was written.
            InvalidInputError: a record is larger than any may be; nothing was written.
        """
        if self._stopping:
            raise KafkaAwayError("this gateway stops; send the request again")
        if self._queued > QUEUED_MOST:
            raise KafkaAwayError("Kafka takes no records and too much waits for it already", retry_after=10)
        if self._trouble and self._pending:
            trouble, since = self._trouble
            if (lasting := time.monotonic() - since) > ACK_DEADLINE:
                raise KafkaAwayError(trouble, retry_after=patience(lasting, waited=True))
        return self._append(stream, events, points or PointTable())

    def _append(self, stream: str, events: Sequence[Event], points: PointTable) -> Written:
        assert self._publisher is not None
        if len(self._next_seq) >= STREAMS_MOST and stream not in self._next_seq:
            self._session, self._next_seq = new_session_id(), {}
        first = self._next_seq.get(stream, 0)
        n = len(events) + len(points)
        envelope = Envelope(self._session, stream, first, n, list(range(len(events))), list(events), points)
        place, key = self.place(stream), stream.encode()
        packed = _packed(envelope)
        self._next_seq[stream] = first + n
        sent: list[asyncio.Future[int]] = []
        for part, value in packed:
            self._queued += len(value)
            sent.append(
                self._publisher.submit(
                    *place, key, value, headers(part.session, stream, part.first_seq, part.n)
                )
            )
            sent[-1].add_done_callback(partial(self._left, part, len(value)))
        written = Written(place, sent[0] if len(sent) == 1 else _all_of(sent))
        self._pending[stream] = written
        written.acknowledged.add_done_callback(lambda done: self._acknowledged(stream, written, done))
        return written

    def pending(self, stream: str) -> Written | None:
        """The last write to *stream* that is not acknowledged yet."""
        return self._pending.get(stream)

    async def settled(self, stream: str) -> None:
        """Wait until everything that was written to *stream* is acknowledged. Raises `KafkaAwayError`."""
        if (pending := self._pending.get(stream)) is not None:
            try:
                await pending.wait()
            except RecordRefused:
                return  # it is not in the topic; whoever wrote it is told

    async def at_least_for(self, *streams: str) -> Needs:
        """What a read must have to see everything written to *streams* before now."""
        for stream in streams:
            await self.settled(stream)
        return self._needs([self.place(stream) for stream in streams])

    async def at_least_for_all(self) -> Needs:
        """What a read must have to see every acknowledged write."""
        return self._needs(list(self._floors))

    def unapplied_floor(self, place: Place) -> int | None:
        """What lay in the partition at the start, while the read model is not known to have it."""
        floor = self._floors[place]
        return floor if self._applied.get(place, 0) < floor else None

    def applied_to(self, place: Place) -> int:
        """The highest next offset that the read model is known to have applied."""
        return self._applied.get(place, 0)

    def applied(self, topic: str, partition: int, next_offset: int) -> None:
        """The read model has told that it has everything below *next_offset*."""
        place = (topic, partition)
        if next_offset > self._applied.get(place, 0):
            self._applied[place] = next_offset

    async def end(self, place: Place) -> int:
        """Where a partition ends now, everybody's writes included. Raises `KafkaAwayError`."""
        return (await self._ends.ask([place]))[place]

    async def ends(self) -> Needs:
        """What a read must have to see whatever anybody wrote before now. Raises `KafkaAwayError`."""
        needs: Needs = {}
        for (topic, partition), offset in (await self._ends.ask(list(self._floors))).items():
            needs.setdefault(topic, {})[str(partition)] = offset
        return needs

    def _needs(self, places: Sequence[Place]) -> Needs:
        needs: Needs = {}
        for place in places:
            offset = max(self._floors[place], self._produced.get(place, 0))
            if offset:
                needs.setdefault(place[0], {})[str(place[1])] = offset
        return needs

    def _known(self) -> Facts:
        if self._facts is None:
            raise KafkaAwayError("this gateway does not know its installation yet")
        return self._facts

    def _acknowledged(self, stream: str, written: Written, done: "asyncio.Future[int]") -> None:
        if self._pending.get(stream) is written:
            del self._pending[stream]
        if not done.cancelled() and done.exception() is None:
            written.offset = done.result()
            self._produced[written.place] = max(self._produced.get(written.place, 0), written.offset + 1)

    def _on_trouble(self, trouble: str | None) -> None:
        since = self._trouble[1] if self._trouble else time.monotonic()
        self._trouble = (trouble, since) if trouble else None

    def _left(self, part: Envelope, size: int, done: "asyncio.Future[int]") -> None:
        self._queued -= size
        if not done.cancelled() and isinstance(refusal := done.exception(), RecordRefused):
            LOG.error("a record of %s was given up: %s", part.stream, refusal)
            self._declare(part, str(refusal))

    def _declare(self, part: Envelope, why: str) -> None:
        """These seqs will never come; said in the stream itself, so that the run shows why.

        Said also where writes are refused for a time: nobody would say it later.
        """
        if part.stream == CATALOG or any(isinstance(event, RangeDeclared) for event in part.events):
            return  # nobody shows gaps of the catalog; a declaration that is refused is not declared again
        lost = RangeDeclared(part.session, part.first_seq, part.n, "rejected", now_ms(), why[:1000])
        self._append(part.stream, [lost], PointTable())


def _packed(envelope: Envelope) -> list[tuple[Envelope, bytes]]:
    """The envelope's bytes; in halves where it is larger than an envelope may be.

    Raises:
        InvalidInputError: a single record is larger.
    """
    value = encode(envelope)
    if len(value) <= ENVELOPE_MAX:
        return [(envelope, value)]
    if envelope.n == 1:
        raise InvalidInputError(
            f"one of the things to be recorded has {len(value)} bytes; at most {ENVELOPE_MAX} are possible"
        )
    middle = envelope.first_seq + envelope.n // 2
    halves = cut(envelope, envelope.first_seq, middle), cut(envelope, middle, envelope.end_seq)
    return [packed for half in halves for packed in _packed(half)]


def _all_of(sent: Sequence["asyncio.Future[int]"]) -> "asyncio.Future[int]":
    """The last offset once all of *sent* are acknowledged, in order; fails when that is clear for any."""
    every: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def settled(done: "asyncio.Future[int]") -> None:
        if every.done():
            return
        if (fault := done.exception()) is not None:
            every.set_exception(fault)
            every.exception()  # told to whoever waits, if anybody does
        elif done is sent[-1]:
            every.set_result(done.result())

    for one in sent:
        one.add_done_callback(settled)
    return every


def point_table() -> PointTable:
    """An empty table, to be filled."""
    return PointTable((), array("q"), array("q"), array("q"), array("d"))


def merged(*needs: Mapping[str, Mapping[str, int]]) -> Needs:
    """What a read must have that needs all of these."""
    found: Needs = {}
    for need in needs:
        for topic, partitions in need.items():
            kept = found.setdefault(topic, {})
            for partition, offset in partitions.items():
                kept[partition] = max(offset, kept.get(partition, 0))
    return found
