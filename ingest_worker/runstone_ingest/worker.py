"""The worker: from the topics into the read model.

Who runs where: one event loop, one process.

- *fetching* (`_fetch`) is the only task that calls ``getmany``; it is never cancelled, because that leaks
  aiokafka's fetch counter, and ends within `_POLL_MS` of the stop. It decodes, so that decoding overlaps with
  Postgres' work, and waits when a batch is full.
- *writing* (`_write_all`) is the only task that uses the Postgres connection: it takes partitions over, loads
  the rows a batch meets, projects, writes, and between batches refreshes the ranking of metrics.
- *signalling* (`_signal_lag`) commits to Kafka what is in Postgres, about every second and for people's tools
  only: nothing ever reads it.

There are no locks: what the tasks share (`Ownership`, `Gathering`) changes without awaiting. When Postgres
fails, the writing task drops what it holds, connects again with a back-off and takes its partitions from the
offsets in the database; meanwhile fetching fills one batch and waits. When Kafka fails, aiokafka connects
again by itself. Neither ends the worker.
"""

import asyncio
import os
import random
import socket
import sys
import time
import uuid
from collections.abc import Sequence
from typing import Any, Final

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)

from runstone.events import identity, limits
from runstone_ingest import dead_letters, topics, writer
from runstone_ingest.batching import Gathered, Gathering
from runstone_ingest.exceptions import IngestError, NotOurPartitionError, RefusedRowsError
from runstone_ingest.loading import Memory
from runstone_ingest.ownership import Holding, Ownership, claim_place
from runstone_ingest.projector import project
from runstone_ingest.projector.projection import needed
from runstone_ingest.projector.rows import Changes, Tally
from runstone_ingest.records import DeadLetter, Record
from runstone_store import generations, kafka_settings, pool
from runstone_store.configuration import catalog_topic, events_topic
from runstone_store.exceptions import NotMigratedError

_POLL_MS: Final = 250
"""How long a fetch waits for records, which bounds how long a stop waits for the fetching task."""

_FETCH_WAIT_MS: Final = 10
"""How long a broker may hold a fetch open. aiokafka has one fetch in flight, without the partitions whose
records it has just handed over: the next records of those wait for it to end."""

_SESSION_MS: Final = 10_000
_NEVER_MS: Final = 7 * 24 * 3_600_000
"""Fetching waits on purpose while Postgres is away, and must not be taken for dead by its own group."""

_RANK_SECONDS: Final = 3.0
_SIGNAL_SECONDS: Final = 1.0
_BACK_OFF: Final = (0.1, 5.0)
"""Seconds: the first and the longest wait after a passing fault; doubled each time, with jitter."""

_STOP_SECONDS: Final = 1.5
"""What leaving Kafka may take; a broker that is away must not hold a stop up."""

_POSTGRES_FAULTS: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)
_FATAL: Final = (GroupAuthorizationFailedError, TopicAuthorizationFailedError)


class Worker:
    """One worker of an installation; `run` it once."""

    def __init__(self, bootstrap: str, dsn: str, prefix: str) -> None:
        """*bootstrap*: Kafka's servers; *dsn*: the read model; *prefix*: of the topics' names."""
        self._bootstrap = bootstrap
        self._dsn = dsn
        self._prefix = prefix
        self._catalog = catalog_topic(prefix)
        self._stop = asyncio.Event()
        self._wake = asyncio.Event()
        self._ownership = Ownership(f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}", self._wake)
        self._gathering = Gathering(self._wake)
        self._memory = Memory()
        self._changed_runs: dict[str, int] = {}
        self._ranked_at = 0.0
        self._committed: dict[TopicPartition, int] = {}
        self._partitions = 0
        self._homes: dict[str, int] = {}
        self._connection: Any = None
        self._faults = 0

    def stop(self) -> None:
        """Ask it to end; what is being written is finished first."""
        self._stop.set()
        self._wake.set()

    async def run(self) -> None:
        """Work until `stop`.

        Raises:
            IngestError, StoreError: it can never work as it is; the message says why and what to do.
        """
        self._partitions = await self._installation()
        while not self._stop.is_set() and self._connection is None:
            await self._connect()
        if self._stop.is_set():
            return
        place = await claim_place(self._connection)
        generation = await generations.live(self._connection)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=f"{self._prefix}.ingest.{generation}",
            group_instance_id=f"worker-{place}",
            client_id=f"runstone-worker-{place}",
            partition_assignment_strategy=[StickyPartitionAssignor],
            auto_offset_reset="none",
            enable_auto_commit=False,
            session_timeout_ms=_SESSION_MS,
            rebalance_timeout_ms=_SESSION_MS,
            heartbeat_interval_ms=2_000,
            max_poll_interval_ms=_NEVER_MS,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            max_partition_fetch_bytes=limits.TOPIC_MAX + limits.MIB,
            **kafka_settings.security(),
        )
        self._ownership.attach(consumer)
        try:
            await self._start(consumer)
            await self._work(consumer)
        finally:
            await self._leave(consumer)

    async def _installation(self) -> int:
        """How many partitions streams are hashed by, by the catalog's first record; waits for that."""
        while not self._stop.is_set():
            try:
                found = await topics.installation(self._bootstrap, self._prefix)
                if found is not None:
                    return found.partitions
                await self._pause(f"{self._catalog} names no installation yet; run 'runstone topic create'")
            except IngestError as failed:
                await self._pause(str(failed))
        return 0

    async def _start(self, consumer: Any) -> None:
        names = [events_topic(self._prefix), self._catalog]
        while not self._stop.is_set():
            try:
                await consumer.start()
            except KafkaError as failed:
                await self._pause(f"Kafka at {self._bootstrap} does not answer: {failed!r}")
            else:
                consumer.subscribe(names, listener=self._ownership)
                return

    async def _work(self, consumer: Any) -> None:
        tasks = [
            asyncio.create_task(self._fetch(consumer), name="fetching"),
            asyncio.create_task(self._write_all(), name="writing"),
            asyncio.create_task(self._signal_lag(consumer), name="signalling"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self.stop()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _leave(self, consumer: Any) -> None:
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await consumer.stop()
        except (KafkaError, TimeoutError):
            pass  # the group notices by itself
        if self._connection is not None:
            self._connection.terminate()

    # --- fetching -----------------------------------------------------------------------------------------

    async def _fetch(self, consumer: Any) -> None:
        while not self._stop.is_set():
            if self._gathering.full:
                await self._room_or_stop()
            began = self._ownership.round
            try:
                fetched = await consumer.getmany(timeout_ms=_POLL_MS)
            except OffsetOutOfRangeError as gone:
                for tp, offset in gone.args[0].items():
                    self._ownership.halt(tp, f"offset {offset} is not in the log")
                continue
            except _FATAL as refused:
                raise IngestError(f"Kafka refuses this worker for good: {refused!r}") from refused
            except KafkaError as failed:
                if began == self._ownership.round and self._ownership.held:
                    await self._pause(f"fetching from Kafka failed: {failed!r}")
                continue
            if began != self._ownership.round:
                self._ownership.rewind()
                continue
            for tp, messages in fetched.items():
                records = [
                    Record(m.topic, m.partition, m.offset, m.key, m.value, m.headers) for m in messages
                ]
                holding, new = self._ownership.accept(tp, records)
                if holding is not None:
                    self._gather(holding, new)

    async def _room_or_stop(self) -> None:
        waits = {asyncio.ensure_future(self._gathering.room()), asyncio.ensure_future(self._stop.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _gather(self, holding: Holding, records: Sequence[Record]) -> None:
        catalog = holding.topic == self._catalog
        for record in records:
            self._gathering.add(Gathered(holding, dead_letters.admit(record, catalog, self._home)))

    def _home(self, stream: str) -> int:
        """The partition of a stream; remembered, because hashing takes longer than looking up."""
        found = self._homes.get(stream)
        if found is None:
            if len(self._homes) >= 100_000:
                self._homes.clear()
            found = self._homes[stream] = identity.partition_of(stream, self._partitions)
        return found

    # --- writing ------------------------------------------------------------------------------------------

    async def _write_all(self) -> None:
        announced = False
        while not self._stop.is_set():
            try:
                if self._connection is None or self._connection.is_closed():
                    await self._connect()
                    continue
                self._wake.clear()
                if self._ownership.wanting:
                    await self._ownership.take(self._connection)
                    self._memory.clear()
                if self._ownership.assigned_once and not self._ownership.wanting and not announced:
                    announced = True
                    held = len(self._ownership.held)
                    print(f"runstone worker: ready, {held} partitions of {self._prefix}", flush=True)
                batch = self._gathering.take()
                if batch:
                    await self._apply(batch)
                    self._faults = 0
                elif self._changed_runs and time.monotonic() >= self._ranked_at + _RANK_SECONDS:
                    await self._rank()
                elif not self._wake.is_set():
                    await self._sleep()
                if len(self._changed_runs) and time.monotonic() >= self._ranked_at + 2 * _RANK_SECONDS:
                    await self._rank()
            except NotOurPartitionError as lost:
                self._drop()
                await self._pause(str(lost))
            except _POSTGRES_FAULTS as failed:
                self._drop()
                await self._pause(f"Postgres failed, trying again: {failed!r}")

    async def _sleep(self) -> None:
        """Until something was gathered or assigned, or the ranking is due."""
        due = self._ranked_at + _RANK_SECONDS - time.monotonic() if self._changed_runs else None
        try:
            async with asyncio.timeout(due):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _drop(self) -> None:
        self._memory.clear()
        self._changed_runs.clear()
        self._gathering.take()
        self._ownership.lose_all()

    async def _connect(self) -> None:
        connection = None
        try:
            connection = await pool.connect_writer(self._dsn, "runstone worker")
            generation = await generations.live(connection)
            await connection.execute(f"SET search_path TO {generation}")
            self._connection = connection
        except NotMigratedError as wrong:
            await self._pause(str(wrong))
        except _POSTGRES_FAULTS as failed:
            await self._pause(f"Postgres does not answer: {failed!r}")
        finally:
            if connection is not None and self._connection is not connection:
                connection.terminate()

    async def _apply(self, batch: Sequence[Gathered]) -> None:
        """Write *batch*; where Postgres refuses a value, find the record that holds it and bury that one."""
        held = self._ownership.held.values()
        current = [one for one in batch if any(one.holding is holding for holding in held)]
        if not current:
            return
        try:
            await self._transact(current)
        except RefusedRowsError as refused:
            if len(current) > 1:
                half = len(current) // 2
                await self._apply(current[:half])
                await self._apply(current[half:])
            elif isinstance(current[0].item, DeadLetter):
                raise
            else:
                item = current[0].item
                envelope = item.envelope
                address = dead_letters.address_of(envelope)
                letter = DeadLetter(item.record, str(refused), address, accountable=True)
                await self._transact([Gathered(current[0].holding, letter)])

    async def _transact(self, batch: Sequence[Gathered]) -> None:
        items = [one.item for one in batch]
        loaded = await self._memory.load(self._connection, needed(items))
        changes = project(items, loaded)
        last = {one.holding: one.item.record for one in batch}
        advances = [
            writer.Advance(
                holding.topic,
                holding.partition,
                holding.epoch,
                holding.next_offset,
                record.offset + 1,
                record.hash(),
                changes.tallies.get((holding.topic, holding.partition), Tally()),
            )
            for holding, record in last.items()
        ]
        await writer.write(self._connection, advances, changes)
        for holding, advance in zip(last, advances, strict=True):
            holding.next_offset, holding.last_hash = advance.next_offset, advance.last_hash
            self._committed[TopicPartition(holding.topic, holding.partition)] = advance.next_offset
        self._remember(changes)

    def _remember(self, changes: Changes) -> None:
        self._memory.committed(changes)
        for segment in changes.segments:
            run = changes.runs[segment.run_id]
            if run.status == "RUNNING":
                self._changed_runs[segment.run_id] = run.topic_partition

    async def _rank(self) -> None:
        held = {h.partition: h for h in self._ownership.held.values() if h.topic != self._catalog}
        runs = [run_id for run_id, partition in self._changed_runs.items() if partition in held]
        self._changed_runs.clear()
        if runs:
            ours = [(h.topic, h.partition, h.epoch) for h in held.values()]
            await writer.rank(self._connection, ours, runs)
        self._ranked_at = time.monotonic()

    # --- around -------------------------------------------------------------------------------------------

    async def _signal_lag(self, consumer: Any) -> None:
        while not self._stop.is_set():
            try:
                async with asyncio.timeout(_SIGNAL_SECONDS):
                    await self._stop.wait()
            except TimeoutError:
                pass
            ours = {tp: offset for tp, offset in self._committed.items() if tp in self._ownership.held}
            self._committed.clear()
            if ours:
                try:
                    await consumer.commit(ours)
                except (KafkaError, ValueError):
                    pass  # a rebalance, or the broker is away; the next one says it again

    async def _pause(self, why: str) -> None:
        """Say what is wrong, once a fault, and wait a little longer each time; a stop ends the wait."""
        self._faults += 1
        if self._faults in {1, 4} or self._faults % 60 == 0:
            print(f"runstone worker: {why}", file=sys.stderr, flush=True)
        first, longest = _BACK_OFF
        wait = min(longest, first * 2 ** min(self._faults, 10)) * random.uniform(0.7, 1.3)  # noqa: S311 - jitter
        try:
            async with asyncio.timeout(wait):
                await self._stop.wait()
        except TimeoutError:
            pass
