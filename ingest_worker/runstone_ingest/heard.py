"""The task that knows which sessions live, and gives up those that have been silent for too long.

Senders tell the gateway once a minute which sessions are in their care, the gateway publishes that to the
topic ``<prefix>.liveness``, and this task brings it into the table ``runstone_meta.heard``. None of it is in
the ledger; what comes of it is, as an event (`runstone_ingest.silence`), so a replay ends alike.

Who runs where: one task of each worker, with a connection and a consumer (without a group) of its own, so it
neither waits for ingest nor holds it up. It works only while this worker owns the catalog's partition, of
which there is one owner; the others look once a second. Two that do at once (one was stopped, and wakes up)
write the same heartbeats, which changes nothing. A fault of Kafka or Postgres ends the turn; the next one
begins where the table ends. ``getmany`` is never cancelled, so a stop waits for at most `POLL_MS`.

::

    not the owner ──owns the catalog──► feeding ──heartbeats for 3 minutes without a break──► judging
          ▲                                │ ▲                                                  │
          └─────── partition lost, fault ──┘ └────────── no heartbeat for 3 minutes ────────────┘
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from runstone_ingest.back_off import FAULTS, BackOff, pause
from runstone_ingest.heartbeats import Feed, latest
from runstone_ingest.silence import Judge
from runstone_store import kafka_settings, named_sql, pool
from runstone_store.configuration import liveness_topic

POLL_MS: Final = 500
SETTLE: Final = 180.0
"""Seconds that heartbeats must have been coming before silence means anything: three from each sender."""

JUDGE_EVERY: Final = 30.0
FORGET_EVERY: Final = 3600.0
FORGET_AFTER_MS: Final = 30 * 24 * 3_600_000
"""A session that owns no open run is forgotten after a month of silence."""

_OVERLAP_MS: Final = 60_000
_LOOK_SECONDS: Final = 1.0
_DEADLINE: Final = 10.0
_LEAVE_SECONDS: Final = 1.0

_SQL: Final = named_sql.load(__file__, "heard.sql")


class Heard:
    """Listens for one worker until *stop*."""

    def __init__(
        self,
        bootstrap: str,
        dsn: str,
        prefix: str,
        lost_after: float | None,
        owns: Callable[[], bool],
        stop: asyncio.Event,
    ) -> None:
        """*lost_after*: seconds, None: never. *owns*: whether this worker has the catalog's partition."""
        self._bootstrap = bootstrap
        self._dsn = dsn
        self._prefix = prefix
        self._lost_after = lost_after
        self._owns = owns
        self._stop = stop
        self._back_off = BackOff(stop)
        self._heartbeats = TopicPartition(liveness_topic(prefix), 0)

    async def run(self, generation: str, partitions: int) -> None:
        """Listen until the stop; *generation* is the schema, *partitions* what streams are hashed by."""
        while not self._stop.is_set():
            if not self._owns():
                await pause(self._stop, _LOOK_SECONDS)
                continue
            try:
                await self._turn(generation, partitions)
            except FAULTS as failed:
                await self._back_off.wait(f"heartbeats cannot be read, trying again: {failed!r}")

    async def _turn(self, generation: str, partitions: int) -> None:
        """Feed and judge for as long as the catalog's partition is ours."""
        connection = await pool.connect_writer(self._dsn, "runstone worker, liveness")
        try:
            await connection.execute(f"SET search_path TO {generation}")
            async with self._consumer() as consumer:
                if self._heartbeats.topic not in await consumer.topics():
                    await self._back_off.wait(
                        f"the topic {self._heartbeats.topic} is not there; run 'runstone topic create'. "
                        f"Until then no run is known to be stale, and no session that vanished is given up"
                    )
                    return
                await self._begin(consumer, connection)
                judge = Judge(self._bootstrap, self._prefix, partitions, connection, consumer)
                await self._listen(consumer, connection, judge)
        finally:
            connection.terminate()

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[Any]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            client_id="runstone-worker-liveness",
            group_id=None,
            auto_offset_reset="none",
            enable_auto_commit=False,
            **kafka_settings.security(),
        )
        try:
            async with asyncio.timeout(_DEADLINE):
                await consumer.start()
            yield consumer
        finally:
            try:
                async with asyncio.timeout(_LEAVE_SECONDS):
                    await consumer.stop()
            except (KafkaError, TimeoutError):
                pass  # it is thrown away

    async def _begin(self, consumer: Any, connection: Any) -> None:
        """Stand behind what the table has, a minute before it; the offsets themselves are kept nowhere."""
        tp = self._heartbeats
        consumer.assign([tp])
        known = await connection.fetchval(_SQL["last_heard"])
        async with asyncio.timeout(_DEADLINE):
            if known is None:
                offset = (await consumer.beginning_offsets([tp]))[tp]
            else:
                found = (await consumer.offsets_for_times({tp: max(0, known - _OVERLAP_MS)}))[tp]
                offset = found.offset if found else (await consumer.end_offsets([tp]))[tp]
        consumer.seek(tp, offset)

    async def _listen(self, consumer: Any, connection: Any, judge: Judge) -> None:
        feed = Feed()
        judged = forgotten = time.monotonic()
        while self._owns() and not self._stop.is_set():
            fetched = (await consumer.getmany(timeout_ms=POLL_MS)).get(self._heartbeats, [])
            if fetched:
                heard = latest((record.value, record.timestamp) for record in fetched)
                await connection.execute(_SQL["heard"], list(heard), list(heard.values()))
                feed.came(time.monotonic())
                self._back_off.healed()
            now = time.monotonic()
            after = self._lost_after
            if after is not None and now - judged >= min(JUDGE_EVERY, after):
                judged = now
                if feed.settled(now, min(SETTLE, after)):
                    await judge.decide(after)
            if now - forgotten >= FORGET_EVERY:
                forgotten = now
                await connection.execute(_SQL["forget"], FORGET_AFTER_MS)
