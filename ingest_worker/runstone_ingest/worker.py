"""The worker: from the topics into the read model.

Who runs where: one process, one event loop, seven tasks. `Fetching` fetches and decodes, `Writing` projects
and writes while the next batch gathers, `Worker` itself tells Kafka about every second what is in Postgres,
for people's tools only (nothing reads it back), `Heard` knows which sessions live, `Course` looks what has
become of the generation that is written, `LedgerGuard` whether the log is still the same and this worker
still works, and `Merging` turns small chunks of points into large ones. There are no locks: what the tasks
share (`Ownership`, `Gathering`, `Unmerged`) changes without awaiting. A fault of Kafka or Postgres is
waited out by the task it meets; neither ends the worker. A stop lets the transaction at hand finish and
cancels only what has not ended by itself after a while, because a server does not answer.
"""

import asyncio
import os
import socket
import uuid
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaError

from runstone.events import limits
from runstone_ingest import collecting, fetch_wait, topics
from runstone_ingest.back_off import BackOff, pause
from runstone_ingest.batching import Gathering
from runstone_ingest.course import Course
from runstone_ingest.exceptions import IngestError
from runstone_ingest.fetching import Fetching
from runstone_ingest.heard import Heard
from runstone_ingest.ledger_guard import LedgerGuard
from runstone_ingest.merging import Merging
from runstone_ingest.ownership import Ownership
from runstone_ingest.unmerged import Unmerged
from runstone_ingest.writing import Writing
from runstone_store import kafka_settings
from runstone_store.configuration import catalog_topic, events_topic

SESSION_MS: Final = 10_000
"""How long the group waits for a member that is silent, and for all of them to join again."""

_HEARTBEAT_MS: Final = 2_000
_NEVER_MS: Final = 7 * 24 * 3_600_000
"""Fetching waits on purpose while Postgres is away, and must not be taken for dead by its own client."""

METADATA_MS: Final = 15_000
"""How soon a topic that was away, or that was made again, is seen; aiokafka's own are five minutes."""

FETCH_BYTES: Final = 4 * limits.MIB
"""What a fetch brings, or one record; what lies in the consumer counts for no batch, but takes memory."""

_SIGNAL_SECONDS: Final = 1.0
_FINISH_SECONDS: Final = 2.5
_LEAVE_SECONDS: Final = 1.5
"""What leaving Kafka may take; a broker that is away must not hold a stop up."""


class Worker:
    """One worker of an installation; `run` it once."""

    def __init__(
        self, bootstrap: str, dsn: str, prefix: str, lost_after: float | None = None, generation: str = ""
    ) -> None:
        """Nothing is connected yet.

        Args:
            bootstrap: Kafka's servers.
            dsn: the read model.
            prefix: of the topics' names.
            lost_after: seconds of silence after which a session is given up; None: never.
            generation: what to write; empty: the generation that is live when it begins.
        """
        self._bootstrap = bootstrap
        self._dsn = dsn
        self._prefix = prefix
        self._stop = asyncio.Event()
        wake = self._wake = asyncio.Event()
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}"
        self._ownership = Ownership(self._owner, wake)
        self._gathering = Gathering(wake)
        topics = (events_topic(prefix), catalog_topic(prefix))
        self._course = Course(dsn, topics, self.stop, self._stop)
        unmerged = Unmerged()
        self._writing = Writing(
            dsn,
            self._ownership,
            self._gathering,
            wake,
            self._stop,
            self._say_ready,
            self._course,
            unmerged,
            generation,
        )
        self._merging = Merging(dsn, events_topic(prefix), self._ownership, unmerged, self._stop)
        self._heard = Heard(bootstrap, dsn, prefix, lost_after, self._owns_the_catalog, self._stop)
        self._back_off = BackOff(self._stop)

    def hand_over(self) -> None:
        """Let it end by itself when its generation has caught up and other workers carry it on."""
        self._course.hands_over_as = self._owner

    def stop(self) -> None:
        """Ask it to end; what is being written is finished first."""
        self._stop.set()
        self._wake.set()

    async def run(self) -> None:
        """Work until `stop`.

        Raises:
            IngestError: it can never work as it is; the message says why and what to do.
        """
        partitions = await self._partitions()
        await self._writing.connect()
        if self._stop.is_set():
            self._writing.close()
            self._say_ended()
            return
        consumer = self._consumer()
        self._ownership.attach(consumer)
        try:
            await self._start(consumer)
            fetching = Fetching(
                consumer,
                self._ownership,
                self._gathering,
                catalog_topic(self._prefix),
                partitions,
                self._stop,
                self._course,
            )
            guard = LedgerGuard(
                self._bootstrap,
                self._dsn,
                self._prefix,
                self._ownership,
                fetching,
                self._stop,
            )
            await self._work(consumer, fetching, guard, partitions)
        finally:
            await self._leave(consumer)
            self._writing.close()
            self._say_ended()

    async def _partitions(self) -> int:
        """What streams are hashed by, as the catalog's first record says; waits until it is there."""
        while not self._stop.is_set():
            try:
                found = await topics.installation(self._bootstrap, self._prefix)
                if found is not None:
                    self._back_off.healed()
                    self._ownership.installation_id = found.installation_id
                    return found.partitions
                why = f"{catalog_topic(self._prefix)} names no installation; run 'runstone topic create'"
            except IngestError as failed:
                why = str(failed)
            await self._back_off.wait(why)
        return 0

    def _consumer(self) -> Any:
        # A static member: whoever takes over the place of a worker that died gets its partitions at once.
        return AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=f"{self._prefix}.ingest.{self._writing.generation}",
            group_instance_id=f"worker-{self._writing.place}",
            client_id=f"runstone-worker-{self._writing.place}",
            partition_assignment_strategy=[StickyPartitionAssignor],
            auto_offset_reset="none",  # the others answer a lost offset with a silent skip
            enable_auto_commit=False,
            session_timeout_ms=SESSION_MS,
            rebalance_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=_HEARTBEAT_MS,
            max_poll_interval_ms=_NEVER_MS,
            metadata_max_age_ms=METADATA_MS,
            max_partition_fetch_bytes=limits.TOPIC_MAX + limits.MIB,
            fetch_max_bytes=FETCH_BYTES,
            **kafka_settings.security(),
        )

    async def _start(self, consumer: Any) -> None:
        while not self._stop.is_set():
            try:
                await consumer.start()
            except KafkaError as failed:
                await self._back_off.wait(f"Kafka at {self._bootstrap} does not answer: {failed!r}")
            else:
                fetch_wait.adapt(consumer)
                names = [events_topic(self._prefix), catalog_topic(self._prefix)]
                consumer.subscribe(names, listener=self._ownership)
                return

    def _say_ready(self) -> None:
        held = len(self._ownership.held)
        print(f"runstone worker: ready, {held} partitions of {self._prefix}", flush=True)

    def _say_ended(self) -> None:
        if self._course.ended:
            print(f"runstone worker: {self._course.ended}", flush=True)

    def _owns_the_catalog(self) -> bool:
        return TopicPartition(catalog_topic(self._prefix), 0) in self._ownership.held

    async def _work(self, consumer: Any, fetching: Fetching, guard: LedgerGuard, partitions: int) -> None:
        tasks = [
            asyncio.create_task(fetching.run(), name="fetching"),
            asyncio.create_task(self._writing.run(), name="writing"),
            asyncio.create_task(self._signal_lag(consumer), name="signalling"),
            asyncio.create_task(guard.run(self._writing.generation, consumer.paused), name="guarding"),
            asyncio.create_task(self._heard.run(self._writing.generation, partitions), name="heard"),
            asyncio.create_task(
                self._course.run(self._writing.generation, consumer.end_offsets), name="course"
            ),
            asyncio.create_task(self._merging.run(self._writing.generation), name="merging"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self.stop()
            await asyncio.wait(tasks, timeout=_FINISH_SECONDS)
            for task in tasks:
                task.cancel()  # only what hangs on a server that does not answer is still there
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _signal_lag(self, consumer: Any) -> None:
        while not self._stop.is_set():
            await pause(self._stop, _SIGNAL_SECONDS)
            collecting.collect_if_quiet(self._gathering)
            committed = self._writing.committed
            ours = {tp: offset for tp, offset in committed.items() if tp in self._ownership.held}
            committed.clear()
            if ours:
                try:
                    async with asyncio.timeout(_LEAVE_SECONDS):
                        await consumer.commit(ours)
                except (KafkaError, ValueError, TimeoutError):
                    pass  # a rebalance, or the broker is away; the next one says it again

    async def _leave(self, consumer: Any) -> None:
        # A static member stays in the group when it stops, and its partitions wait until its session expires.
        # That is for one that died, whose place is filled; aiokafka takes one without an id out of the group.
        if consumer._coordinator is not None:  # noqa: SLF001 - see above
            consumer._coordinator._group_instance_id = None  # noqa: SLF001 - see above
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                await consumer.stop()
        except (KafkaError, TimeoutError):
            pass  # the group notices by itself
