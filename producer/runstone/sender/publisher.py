"""Sends records to Kafka: in order, acknowledged by all replicas, and kept until they are.

It takes ``(topic, partition, key, value, headers)`` and gives back the offset; what is in them is not its
business. The sender and the gateway use it.

Who runs where: everything on the caller's event loop. Each partition has a *lane*: a queue and one task,
which packs the head of the queue into one batch, sends it, waits for the answer, and only then takes the
batch out of the queue. So a lane has one batch outstanding, and nothing overtakes anything (concurrent
``send()`` calls of aiokafka do). While a batch is on its way the next one gathers.

::

        ┌────────────── acknowledged: the futures get their offsets ◄─┐
        ▼                                                             │
      queue ──► batch ──► sent ──► waiting ─────────────────────────►─┤
        ▲                                                             │
        └── the batch stays at the head ◄── producer retired ◄── failed or overdue

After any failure nothing later is sent in that lane: the producer is retired, a new one is made (a wedged
idempotent producer does not heal) and the lane sends again from its oldest record. Lanes that still wait for
a batch in a retired producer may do so; their next one goes through the new one. A batch of a retired
producer may still arrive; receivers drop what they have by its seqs. ``start``, ``send`` and ``stop`` of
aiokafka may hang, so each has a deadline; retiring goes on in a task of its own.

Another installation's Kafka may come up at the address of ours (two data folders, one port). So the cluster's
id is asked before a batch when none was acknowledged for a second, and again behind a batch that took longer;
another id than before stops all lanes until `trust` is called, which the caller does when the server says
that the cluster is ours all the same.

**The way round.** Where brokers do not answer, or not from this machine, the gateway may (``detour``). The
queues are the same, so nothing is overtaken: a lane looks before each batch which way is open, and whichever
takes it, the batch leaves the queue when Kafka has it.

::

        direct ──no batch acknowledged for `DETOUR_AFTER` of trouble──► round, by the gateway
          ▲  ▲                                                             │  │
          │  └──── the gateway does not take them: not for `DETOUR_AGAIN` ◄┘  │
          └──── a probe reached the leaders of all lanes' partitions ◄────────┘

The probe goes on in a task of its own while records take the way round. A batch of which nobody knows whether
it arrived is sent again by the other way; receivers drop what they have by its seqs.

What the broker refuses because of the record itself is taken out and its future fails with `RecordRefused`.
That authorisation is missing says nothing about a record and can be repaired: it is retried like an outage.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    InvalidTimestampError,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    UnknownTopicOrPartitionError,
)
from aiokafka.protocol.metadata import MetadataRequest

from runstone.exceptions import RunstoneError
from runstone.sender.detour import Detour, DetourAway, DetourRefused

log = logging.getLogger(__name__)

BATCH_BYTES: Final = 512 * 1024
"""A batch is closed at this size; a larger record travels alone."""

START_DEADLINE: Final = 10.0
SEND_DEADLINE: Final = 20.0
STOP_DEADLINE: Final = 5.0
"""Seconds. The second one leaves aiokafka time to follow a leader that moves to another broker."""

TROUBLE_AFTER: Final = 5.0
"""Seconds without an answer after which the trouble is reported."""

VERIFY_AFTER: Final = 1.0
"""Seconds without an acknowledgement after which the cluster may have become another one."""

DETOUR_AFTER: Final = 5.0
DETOUR_AGAIN: Final = 10.0
"""Seconds in which nothing was acknowledged before the way round is tried; after it failed, until again."""

PROBE_LEAST: Final = 5.0
PROBE_MOST: Final = 60.0
"""Seconds between attempts to reach the brokers while records take the way round; growing."""

BACKOFF_LEAST: Final = 0.1
BACKOFF_MOST: Final = 2.0

_REFUSALS: Final = (
    DetourRefused,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    CorruptRecordException,
    InvalidTimestampError,
    PolicyViolationError,
)


class RecordRefused(RunstoneError):
    """The broker refuses this very record for good; the message says why."""


class _Stranger(Exception):
    """Another Kafka answers at the address; the message says which and which was expected."""


class PublisherClosed(RunstoneError):
    """The publisher was closed before the record was acknowledged."""


@dataclass(slots=True, eq=False)
class _Pending:
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]
    offset: "asyncio.Future[int]"


@dataclass(slots=True, eq=False)
class _Shared:
    """A producer and how many lanes have a batch in it; retired, it is stopped by the last of them."""

    producer: AIOKafkaProducer
    batches: int = 0
    retired: bool = False
    stopping: bool = False


@dataclass(slots=True, eq=False)
class _Lane:
    topic: str
    partition: int
    queue: deque[_Pending] = field(default_factory=deque)
    stirred: asyncio.Event = field(default_factory=asyncio.Event)
    alone: int = 0
    """So many records at the head are sent one by one, to find the one that is refused."""
    task: "asyncio.Task[None] | None" = None


class Publisher:
    """Publishes to one Kafka; made and used on one event loop, closed by `close`."""

    def __init__(
        self,
        bootstrap_servers: str,
        security: Mapping[str, Any],
        on_trouble: Callable[[str | None], None] = lambda _trouble: None,
        client_id: str = "runstone-sender",
        cluster_id: str | None = None,
        detour: Detour | None = None,
    ) -> None:
        """Nothing is connected yet.

        Args:
            bootstrap_servers: comma-separated ``host:port``.
            security: keyword arguments for aiokafka, see ``kafka_settings``.
            on_trouble: called with a sentence when Kafka does not take records, with None when it does again.
            client_id: what the broker's logs call this program.
            cluster_id: of the Kafka that is expected there; None: whichever answers first.
            detour: the way round, where there is one; closed with the publisher.
        """
        self._servers = bootstrap_servers
        self._security = dict(security)
        self._on_trouble = on_trouble
        self._client_id = client_id
        self.cluster_id = cluster_id
        self._detour = detour
        self._detour_not_before = 0.0
        self._silent_since: float | None = None
        self._probing: asyncio.Task[None] | None = None
        self._verified = 0.0
        self._trusted = asyncio.Event()
        self._trusted.set()
        self._lanes: dict[tuple[str, int], _Lane] = {}
        self._shared: _Shared | None = None
        self._making = asyncio.Lock()
        self._failures = 0
        self._not_before = 0.0
        self._trouble: str | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._closed = False

    def submit(
        self, topic: str, partition: int, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]
    ) -> "asyncio.Future[int]":
        """Queue a record behind all others of its partition; the future gives its offset once acknowledged.

        The future fails with `RecordRefused` or `PublisherClosed`, never for a passing fault.
        """
        if self._closed:
            raise PublisherClosed("the publisher is closed; nothing more can be sent by it")
        lane = self._lanes.get((topic, partition))
        if lane is None:
            lane = self._lanes[topic, partition] = _Lane(topic, partition)
            lane.task = asyncio.create_task(self._run(lane), name=f"lane {topic}/{partition}")
        offset: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        lane.queue.append(_Pending(key, value, headers, offset))
        lane.stirred.set()
        return offset

    def retarget(self, bootstrap_servers: str) -> None:
        """Use other addresses of the same Kafka from now on."""
        if bootstrap_servers != self._servers:
            self._servers = bootstrap_servers
            self._retire(self._shared)

    def trust(self) -> None:
        """Whichever cluster answers is the right one; to be called when the server has said so."""
        if not self._trusted.is_set():
            self.cluster_id = None
            self._trusted.set()

    async def close(self) -> None:
        """Stop at once: what is not acknowledged fails with `PublisherClosed`."""
        self._closed = True
        tasks = [lane.task for lane in self._lanes.values() if lane.task]
        if self._probing:
            tasks.append(self._probing)
        if self._detour:
            self._detour.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for lane in self._lanes.values():
            for pending in lane.queue:
                if not pending.offset.done():
                    pending.offset.set_exception(PublisherClosed("the publisher was closed"))
                    pending.offset.exception()
            lane.queue.clear()
        self._retire(self._shared)
        if self._retiring:
            await asyncio.wait(self._retiring, timeout=STOP_DEADLINE)

    async def _run(self, lane: _Lane) -> None:
        while True:
            if not lane.queue:
                lane.stirred.clear()
                await lane.stirred.wait()
            shared: _Shared | None = None
            if self._silent_since is None:
                self._silent_since = time.monotonic()
            try:
                if self._goes_round:
                    offsets = await self._send_round(lane)
                else:
                    shared = await self._connected()
                    offsets = await self._send_head(lane, shared)
            except _REFUSALS as refusal:
                # The batch took sequence numbers that the broker has not seen: this producer is done for.
                self._retire(shared)
                self._refused(lane, refusal)
            except DetourAway as away:
                log.info("%s", away)
                self._go_direct(not_before=time.monotonic() + DETOUR_AGAIN)
            except Exception as fault:
                # Whatever it is, the records are still at the head of the queue and are sent again.
                self._retire(shared)
                self._failed(lane, fault)
                if shared is not None:
                    await asyncio.sleep(self._backoff())
            else:
                lane.alone = max(0, lane.alone - len(offsets))
                self._failures = 0
                self._report(None)
                for offset in offsets:
                    pending = lane.queue.popleft()
                    if not pending.offset.done():
                        pending.offset.set_result(offset)

    async def _send_head(self, lane: _Lane, shared: _Shared) -> Sequence[int]:
        """Send one batch from the head of the queue; the offsets of its records."""
        shared.batches += 1
        try:
            return await self._send_batch(lane, shared.producer)
        finally:
            shared.batches -= 1
            if shared.retired:
                self._retire(shared)

    async def _send_batch(self, lane: _Lane, producer: AIOKafkaProducer) -> Sequence[int]:
        batch = producer.create_batch()
        count = 0
        for pending in lane.queue:
            added = batch.append(
                timestamp=None, key=pending.key, value=pending.value, headers=pending.headers
            )
            if added is None:
                break
            count += 1
            if lane.alone:
                break
        batch.close()
        began = time.monotonic()
        async with asyncio.timeout(SEND_DEADLINE):
            # aiokafka forgets a topic that it only knows from a list of all when another one is added.
            await producer.client.add_topic(lane.topic)
            if began - self._verified > VERIFY_AFTER:
                await self._verify(lane, producer)
            answer = await producer.send_batch(batch, lane.topic, partition=lane.partition)
            answer.add_done_callback(_retrieved)
            done, _ = await asyncio.wait({answer}, timeout=TROUBLE_AFTER)
            if not done:
                self._report(f"Kafka at {self._servers} has not answered for {TROUBLE_AFTER:.0f} s")
            metadata = await answer
            if time.monotonic() - began > VERIFY_AFTER:
                await self._verify(lane, producer)
            self._verified = time.monotonic()
        self._silent_since = None
        return range(metadata.offset, metadata.offset + count)

    @property
    def _goes_round(self) -> bool:
        return self._probing is not None

    async def _send_round(self, lane: _Lane) -> Sequence[int]:
        """Send one batch from the head of the queue by the gateway; the offsets of its records."""
        assert self._detour is not None
        values: list[bytes] = []
        size = 0
        for pending in lane.queue:
            size += len(pending.value)
            if values and (lane.alone or size > BATCH_BYTES):
                break
            values.append(pending.value)
        return await self._detour.send(values)

    def _go_round_if_silent(self) -> None:
        """Take the way round when no broker has acknowledged anything for long enough, and there is one."""
        now = time.monotonic()
        silent = now - (self._silent_since or now) >= DETOUR_AFTER
        if self._detour and silent and now >= self._detour_not_before and not self._goes_round:
            log.warning("records go by the gateway at %s until Kafka answers here", self._detour.uri)
            self._probing = asyncio.create_task(self._probe(), name="probing Kafka")

    def _go_direct(self, not_before: float = 0.0) -> None:
        self._detour_not_before = not_before
        if self._probing:
            self._probing.cancel()
            self._probing = None

    async def _probe(self) -> None:
        """While records take the way round: try whether the leaders of all partitions can be reached."""
        delay = PROBE_LEAST
        while True:
            await asyncio.sleep(delay)
            delay = min(PROBE_MOST, delay * 2)
            shared: _Shared | None = None
            try:
                async with asyncio.timeout(SEND_DEADLINE):
                    shared = await self._connected()
                    for lane in list(self._lanes.values()):
                        await shared.producer.client.add_topic(lane.topic)
                        await self._verify(lane, shared.producer, must_lead=True)
            except Exception as fault:
                # Whatever it is, records go on by the gateway and it is tried again.
                log.info("Kafka at %s still does not answer: %s", self._servers, _sentence(fault))
                self._retire(shared)
            else:
                log.warning("Kafka at %s answers here again", self._servers)
                self._probing = None
                self._silent_since = None
                return

    async def _verify(self, lane: _Lane, producer: AIOKafkaProducer, *, must_lead: bool = False) -> None:
        """Make sure that this is the cluster it was, over the very connection that batches take.

        Raises:
            _Stranger: it is not.
            KafkaConnectionError: nobody leads the partition, though somebody *must_lead*.
        """
        await producer.partitions_for(lane.topic)
        leader = producer.client.cluster.leader_for_partition(TopicPartition(lane.topic, lane.partition))
        if leader is None or leader < 0:
            if must_lead:
                raise KafkaConnectionError("a partition has no leader")
            return  # there is nobody to send a batch to either
        found = (await producer.client.send(leader, MetadataRequest([lane.topic]))).cluster_id
        if self.cluster_id is None:
            self.cluster_id = found
        if found != self.cluster_id:
            self._trusted.clear()
            raise _Stranger(f"its cluster id is {found}, it was {self.cluster_id}")

    def _refused(self, lane: _Lane, refusal: Exception) -> None:
        if len(lane.queue) > 1 and not lane.alone:
            lane.alone = len(lane.queue)
            return
        lane.alone = max(0, lane.alone - 1)
        pending = lane.queue.popleft()
        why = f"the broker refuses a record of {len(pending.value)} bytes for good: {_sentence(refusal)}"
        log.error("%s/%d: %s", lane.topic, lane.partition, why)
        if not pending.offset.done():
            pending.offset.set_exception(RecordRefused(why))

    def _failed(self, lane: _Lane, fault: Exception) -> None:
        self._failures += 1
        self._go_round_if_silent()
        if isinstance(fault, UnknownTopicOrPartitionError):
            self._report(
                f"Kafka at {self._servers} has no partition {lane.partition} of {lane.topic};"
                " make the topics by 'runstone topic create'"
            )
        else:
            self._report(f"Kafka at {self._servers} does not take records: {_sentence(fault)}")

    def _report(self, trouble: str | None) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble:
                log.warning("%s", trouble)
            elif not self._goes_round:
                log.info("Kafka at %s takes records again", self._servers)
            self._on_trouble(trouble)

    def _backoff(self) -> float:
        return min(BACKOFF_MOST, BACKOFF_LEAST * 2.0 ** min(self._failures, 10))

    async def _connected(self) -> _Shared:
        """The producer of all lanes, made anew where the last one was retired; one attempt at a time."""
        async with self._making:
            await self._trusted.wait()
            if self._shared is None:
                await asyncio.sleep(self._not_before - time.monotonic())
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._servers,
                    client_id=self._client_id,
                    acks="all",
                    enable_idempotence=True,
                    max_batch_size=BATCH_BYTES,
                    request_timeout_ms=10_000,
                    **self._security,
                )
                try:
                    async with asyncio.timeout(START_DEADLINE):
                        await producer.start()
                except BaseException:
                    self._not_before = time.monotonic() + self._backoff()
                    self._retire(_Shared(producer))
                    raise
                self._shared = _Shared(producer)
            return self._shared

    def _retire(self, shared: _Shared | None) -> None:
        """Give up a producer; the lanes get another one. It is stopped when no lane waits for it."""
        if shared is None:
            return
        if shared is self._shared:
            self._shared = None
        shared.retired = True
        if shared.stopping or (shared.batches and not self._closed):
            return
        shared.stopping = True
        task = asyncio.create_task(_stop(shared.producer), name="retiring a producer")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


async def _stop(producer: AIOKafkaProducer) -> None:
    """Stop without flushing. aiokafka has no such call: its accumulator must be failed for that."""
    producer._message_accumulator.fail_all(KafkaError("retired"))  # noqa: SLF001
    try:
        async with asyncio.timeout(STOP_DEADLINE):
            await producer.client.close()
            await producer.stop()
    except Exception as wrong:
        # It may hang or fail in any way with its broker gone; nobody waits for it any more.
        log.info("a producer did not stop in order: %r", wrong)


def _retrieved(answer: "asyncio.Future[Any]") -> None:
    if not answer.cancelled():
        answer.exception()


def _sentence(fault: BaseException) -> str:
    if isinstance(fault, TimeoutError):
        return "no answer in time"
    if isinstance(fault, KafkaConnectionError):
        return "it cannot be reached"
    return str(fault) or type(fault).__name__
