"""Gives up sessions of which nothing was heard for too long, and takes that back, by events in the ledger.

A machine that vanished cannot say so. Whoever calls this (`runstone_ingest.heard`) has made sure that
heartbeats are coming at all. Here, where a session seems silent, first all is applied that its partition
holds by then; only if it still is silent, it is given up. So its last word counts, and what was published
here before is known: nothing is said twice for one session unless it was heard in between. (Two workers may,
when one was stopped for a moment at this very place: the second time changes nothing.)

A machine that is back may run a training that has nothing to log for hours: then its sender's heartbeats
revoke the loss, by an event as well. Anything the session says itself does so without this module.

The event goes into the stream of each run that the session owns, under a session of this worker's own, which
is a new one each time and ends in the same record: whatever becomes of a send, no seq is left open.
"""

import asyncio
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition

from runstone.events import Envelope, Event, encode, encoding, identity
from runstone.events.types import SessionEnded, SessionFound, SessionLost
from runstone_store import kafka_settings, named_sql
from runstone_store.configuration import events_topic

APPLIED_WITHIN: Final = 10.0
"""Seconds to wait for what a partition holds; ingest that has a backlog larger than that is asked later."""

FRESH: Final = 10.0
"""Seconds that what was asked is good for: a worker that was stopped in between asks again."""

_LOOK: Final = 0.1
_DEADLINE: Final = 10.0
_LEAVE_SECONDS: Final = 1.0

_SQL: Final = named_sql.load(__file__, "heard.sql")


_EVENTS: Final[Mapping[str, type[SessionLost | SessionFound]]] = {
    "silent": SessionLost,
    "found": SessionFound,
}
_SAID: Final = {"silent": "has been silent for too long: given up", "found": "is heard again: not lost"}
"""By the name of the SQL that finds them."""


class _Verdict(NamedTuple):
    run_id: str
    session: str
    name: str


class Judge:
    """Used by one task; *connection* and *consumer* are that task's."""

    def __init__(self, bootstrap: str, prefix: str, partitions: int, connection: Any, consumer: Any) -> None:
        """*partitions*: what streams are hashed by."""
        self._bootstrap = bootstrap
        self._topic = events_topic(prefix)
        self._partitions = partitions
        self._connection = connection
        self._consumer = consumer

    async def decide(self, after: float) -> None:
        """Publish ``session_lost`` for each session that owns a running run and was silent for *after* s.

        And ``session_found`` for each that was given up and is heard again.

        Raises:
            KafkaError, OSError, TimeoutError, asyncpg.PostgresError: some may have been published.
        """
        seem = await self._verdicts(after)
        if not seem:
            return
        behind = await self._wait_applied({self._partition(verdict.run_id) for verdict in seem})
        asked = time.monotonic()
        sure = seem & await self._verdicts(after)
        found = [verdict for verdict in sorted(sure) if self._partition(verdict.run_id) not in behind]
        if found:
            await self._publish(found, asked)

    async def _verdicts(self, after: float) -> "set[_Verdict]":
        rows = {name: await self._connection.fetch(_SQL[name], int(after * 1000)) for name in _EVENTS}
        return {_Verdict(run_id, session, name) for name in rows for run_id, session in rows[name]}

    def _partition(self, run_id: str) -> int:
        return identity.partition_of(run_id, self._partitions)

    async def _wait_applied(self, partitions: Collection[int]) -> set[int]:
        """Wait until all that these partitions hold now is applied; those of which it is not in time."""
        places = {TopicPartition(self._topic, partition) for partition in partitions}
        async with asyncio.timeout(_DEADLINE):
            ends = await self._consumer.end_offsets(places)
        numbers, offsets = [place.partition for place in ends], list(ends.values())
        deadline = time.monotonic() + APPLIED_WITHIN
        while True:
            rows = await self._connection.fetch(_SQL["behind"], self._topic, numbers, offsets)
            if not rows or time.monotonic() > deadline:
                return {row[0] for row in rows}
            await asyncio.sleep(_LOOK)

    async def _publish(self, verdicts: Iterable[_Verdict], asked: float) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            client_id="runstone-worker-liveness",
            acks="all",
            enable_idempotence=True,
            **kafka_settings.security(),
        )
        own = identity.new_session_id()
        try:
            async with asyncio.timeout(_DEADLINE):
                await producer.start()
            for run_id, session, name in verdicts:
                if time.monotonic() - asked > FRESH:
                    return
                now = time.time_ns() // 1_000_000
                said: list[Event] = [_EVENTS[name](session, now), SessionEnded(own, "FINISHED", now)]
                async with asyncio.timeout(_DEADLINE):
                    await producer.send_and_wait(
                        self._topic,
                        encode(Envelope(own, run_id, 0, 2, [0, 1], said)),
                        key=run_id.encode(),
                        partition=self._partition(run_id),
                        headers=encoding.headers(own, run_id, 0, 2),
                    )
                _say(f"session {session}, which owns run {run_id}, {_SAID[name]}")
        finally:
            try:
                async with asyncio.timeout(_LEAVE_SECONDS):
                    await producer.stop()
            except TimeoutError:
                pass  # it is thrown away


def _say(line: str) -> None:
    print(f"runstone worker: {line}", file=sys.stderr, flush=True)
