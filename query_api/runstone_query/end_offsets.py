"""Where the topics end, asked of Kafka and remembered for a moment.

One consumer without a group serves all requests of the event loop. It is made when first asked for, and
thrown away after any failure. The lock lets one request ask while the others wait for its answer, so a Kafka
that is away is asked once a second and not once a request.
"""

import asyncio
import logging
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from runstone_query.configuration import END_OFFSETS_FOR_S, KAFKA_TIMEOUT_S
from runstone_store.kafka_settings import security

_log: Final = logging.getLogger(__name__)

_NO_KAFKA: Final = "RUNSTONE_BOOTSTRAP_SERVERS is not set, so Kafka cannot be asked"

Place = tuple[str, int]
"""A topic and the number of a partition."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Attributes:
    offsets: for each (topic, partition) the offset that its next record will have.
    reason: why there are none, in words for people; null where Kafka answered.
    """

    offsets: Mapping[Place, int] = field(default_factory=dict)
    reason: str | None = None


class EndOffsets:
    """The ends of partitions at *bootstrap_servers* (empty: no Kafka is named, every answer says so)."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap = bootstrap_servers
        self._consumer: AIOKafkaConsumer | None = None
        self._lock = asyncio.Lock()
        self._asked: frozenset[Place] = frozenset()
        self._known = Ends()
        self._begun = -math.inf
        self._until = -math.inf

    async def get(self, places: Collection[Place]) -> Ends:
        """The ends of *places* as they are, or were a moment ago. Never raises."""
        if not self._bootstrap:
            return Ends(reason=_NO_KAFKA)
        asked = frozenset(places)
        async with self._lock:
            if self._now() >= self._until or asked != self._asked:
                await self._ask(asked)
            return self._known

    async def now(self, places: Collection[Place]) -> Ends:
        """The ends of *places*, asked after this call began. Never raises.

        Requests that wait for the one before share the answer to the next.
        """
        if not self._bootstrap:
            return Ends(reason=_NO_KAFKA)
        called, asked = self._now(), frozenset(places)
        async with self._lock:
            if self._begun < called or asked != self._asked:
                await self._ask(asked)
            return self._known

    async def close(self) -> None:
        """Leave Kafka."""
        async with self._lock:
            await self._drop()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    async def _ask(self, places: frozenset[Place]) -> None:
        self._begun, self._asked = self._now(), places
        self._known = await self._answer(places)
        self._until = self._now() + END_OFFSETS_FOR_S

    async def _answer(self, places: Collection[Place]) -> Ends:
        try:
            async with asyncio.timeout(KAFKA_TIMEOUT_S):
                consumer = await self._connected()
                found = await consumer.end_offsets([TopicPartition(*place) for place in places])
        except Exception as away:  # aiokafka raises many kinds; each means that Kafka cannot be asked
            _log.warning("Kafka does not tell its ends: %s: %s", type(away).__name__, away)
            await self._drop()
            return Ends(reason=f"Kafka does not answer at {self._bootstrap} ({type(away).__name__})")
        return Ends({(at.topic, at.partition): end for at, end in found.items()})

    async def _connected(self) -> Any:
        if self._consumer is None:
            self._consumer = AIOKafkaConsumer(
                bootstrap_servers=self._bootstrap,
                client_id="runstone-api",
                group_id=None,
                auto_offset_reset="none",
                enable_auto_commit=False,
                request_timeout_ms=int(KAFKA_TIMEOUT_S * 1000),
                **security(),
            )
            await self._consumer.start()
        return self._consumer

    async def _drop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            try:
                async with asyncio.timeout(1):
                    await consumer.stop()
            except Exception as wrong:  # it is thrown away, whatever it says
                _log.debug("closing the connection to Kafka: %s", wrong)
