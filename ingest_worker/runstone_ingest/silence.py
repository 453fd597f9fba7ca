"""Gives up sessions of which nothing was heard for too long, by an event in the ledger.

A machine that vanished cannot say so. Whoever calls this (`runstone_ingest.heard`) has made sure that
heartbeats are coming at all; here it is seen that ingest has applied all that the events topic held a
moment ago, so that the last word of a session, and what was published here before, is known. So nothing is
said twice for one session unless it was heard in between. (Two workers may, when one was stopped for a moment
at this very place: the second time changes nothing.)

The event goes into the stream of each run that the session owns, under a session of this worker's own, which
is a new one each time and ends in the same record: whatever becomes of a send, no seq is left open.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition

from runstone.events import Envelope, Event, encode, encoding, identity
from runstone.events.types import SessionEnded, SessionLost
from runstone_store import kafka_settings, named_sql
from runstone_store.configuration import events_topic

FRESH: Final = 10.0
"""Seconds that what was asked is good for: a worker that was stopped in between asks again."""

_DEADLINE: Final = 10.0
_LEAVE_SECONDS: Final = 1.0

_SQL: Final = named_sql.load(__file__, "heard.sql")


class Judge:
    """Used by one task; *connection* and *consumer* are that task's."""

    def __init__(self, bootstrap: str, prefix: str, partitions: int, connection: Any, consumer: Any) -> None:
        """*partitions*: what streams are hashed by."""
        self._bootstrap = bootstrap
        self._topic = events_topic(prefix)
        self._partitions = partitions
        self._connection = connection
        self._consumer = consumer

    async def give_up(self, after: float) -> None:
        """Publish ``session_lost`` for each session that owns a running run and was silent for *after* s.

        Raises:
            KafkaError, OSError, TimeoutError, asyncpg.PostgresError: some may have been published.
        """
        asked = time.monotonic()
        ends = await self._ends()
        silent = await self._connection.fetch(_SQL["silent"], self._topic, ends, int(after * 1000))
        if silent:
            await self._publish([tuple(row) for row in silent], asked)

    async def _ends(self) -> list[int]:
        places = [TopicPartition(self._topic, number) for number in range(self._partitions)]
        async with asyncio.timeout(_DEADLINE):
            found = await self._consumer.end_offsets(places)
        return [found[place] for place in places]

    async def _publish(self, silent: Sequence[tuple[str, str]], asked: float) -> None:
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
            for run_id, session in silent:
                if time.monotonic() - asked > FRESH:
                    return
                now = time.time_ns() // 1_000_000
                said: list[Event] = [SessionLost(session, now), SessionEnded(own, "FINISHED", now)]
                async with asyncio.timeout(_DEADLINE):
                    await producer.send_and_wait(
                        self._topic,
                        encode(Envelope(own, run_id, 0, 2, [0, 1], said)),
                        key=run_id.encode(),
                        partition=identity.partition_of(run_id, self._partitions),
                        headers=encoding.headers(own, run_id, 0, 2),
                    )
                _say(f"session {session}, which owns run {run_id}, has been silent for too long: given up")
        finally:
            try:
                async with asyncio.timeout(_LEAVE_SECONDS):
                    await producer.stop()
            except TimeoutError:
                pass  # it is thrown away


def _say(line: str) -> None:
    print(f"runstone worker: {line}", file=sys.stderr, flush=True)
