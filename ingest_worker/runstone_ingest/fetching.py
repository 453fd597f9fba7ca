"""The fetching task: from Kafka into the batch that gathers.

It is the only one that calls ``getmany``, which is never cancelled: that leaks aiokafka's fetch counter. So a
stop waits for at most `POLL_MS`. Records are decoded here, which overlaps with Postgres' work on the batch
before, and not in aiokafka's deserialiser, where a bad record is an endless loop. A full batch is waited for.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)

from runstone.events import identity
from runstone_ingest import dead_letters
from runstone_ingest.back_off import BackOff
from runstone_ingest.batching import Gathered, Gathering
from runstone_ingest.course import Course
from runstone_ingest.exceptions import IngestError
from runstone_ingest.ownership import Holding, Ownership
from runstone_ingest.records import Record

POLL_MS: Final = 250
"""How long a fetch waits for records; they end the wait as soon as they are there."""

_STREAMS_MAX: Final = 100_000
_FATAL: Final = (GroupAuthorizationFailedError, TopicAuthorizationFailedError)


class Fetching:
    """Fetches for one worker until *stop*."""

    def __init__(
        self,
        consumer: Any,
        ownership: Ownership,
        gathering: Gathering,
        catalog: str,
        partitions: int,
        stop: asyncio.Event,
        course: Course,
    ) -> None:
        """*catalog* is the name of its topic, *partitions* what streams of the other one are hashed by."""
        self._course = course
        self._consumer = consumer
        self._ownership = ownership
        self._gathering = gathering
        self._catalog = catalog
        self._partitions = partitions
        self._stop = stop
        self._back_off = BackOff(stop)
        self._homes: dict[str, int] = {}
        self.resting = False
        """Whether it waits on purpose, so that nobody takes it for stuck."""

    async def run(self) -> None:
        """Fetch until the stop.

        Raises:
            IngestError: Kafka refuses this worker for good.
        """
        while not self._stop.is_set():
            if self._gathering.full:
                self.resting = True
                await self._room_or_stop()
                self.resting = False
            began = self._ownership.round
            try:
                fetched = await self._consumer.getmany(timeout_ms=POLL_MS)
            except OffsetOutOfRangeError as gone:
                for tp, offset in gone.args[0].items():
                    self._ownership.out_of_range(tp, offset)
                continue
            except _FATAL as refused:
                raise IngestError(f"Kafka refuses this worker for good: {refused!r}") from refused
            except KafkaError as failed:
                await self._back_off.wait(f"fetching from Kafka failed, trying again: {failed!r}")
                continue
            if began != self._ownership.round:
                self._ownership.rewind()
                continue
            for tp, messages in fetched.items():
                if began != self._ownership.round:
                    self._ownership.rewind()
                    break
                self._back_off.healed()
                records = [
                    Record(m.topic, m.partition, m.offset, m.key, m.value, m.headers, m.timestamp)
                    for m in messages
                ]
                holding, accepted = self._ownership.accept(tp, records)
                new, at_the_end = self._course.cut(tp, accepted)
                if holding is not None:
                    self._gather(holding, new)
                if at_the_end:
                    self._consumer.pause(tp)
                self.resting = True
                await self._course.pace(len(new))
                self.resting = False

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
            if len(self._homes) >= _STREAMS_MAX:
                self._homes.clear()
            found = self._homes[stream] = identity.partition_of(stream, self._partitions)
        return found
