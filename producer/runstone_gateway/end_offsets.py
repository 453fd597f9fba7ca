"""Where the topics end, asked of Kafka: what was written before this gateway started, or by others.

One consumer without a group, made when first asked for and thrown away after any failure; the lock lets one
request ask at a time, since a broken consumer is replaced. Who waited while it failed for another fails with
it: a Kafka that is away keeps nobody for longer than its deadline, however many ask.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from runstone.sender.kafka_settings import kafka_settings
from runstone_gateway.outage import Outage
from runstone_gateway.unavailable import KafkaAwayError

DEADLINE: Final = 5.0
"""Seconds in which Kafka must answer."""


class EndOffsets:
    """The ends of partitions at *bootstrap_servers*."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap = bootstrap_servers
        self._consumer: AIOKafkaConsumer | None = None
        self._lock = asyncio.Lock()
        self._failed: tuple[float, str, int] | None = None
        self._outage = Outage()

    async def ask(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """For each (topic, partition) the offset that its next record will have.

        Raises:
            KafkaAwayError: Kafka does not tell.
        """
        called = asyncio.get_running_loop().time()
        async with self._lock:
            if self._failed is not None and self._failed[0] >= called:
                raise KafkaAwayError(*self._failed[1:])
            try:
                async with asyncio.timeout(DEADLINE):
                    if self._consumer is None:
                        self._consumer = AIOKafkaConsumer(
                            bootstrap_servers=self._bootstrap,
                            client_id="runstone-gateway",
                            group_id=None,
                            enable_auto_commit=False,
                            request_timeout_ms=int(DEADLINE * 1000),
                            **kafka_settings(),
                        )
                        await self._consumer.start()
                    found = await self._consumer.end_offsets([TopicPartition(*place) for place in places])
            except Exception as away:  # aiokafka raises many kinds; each means that Kafka cannot be asked
                await self._drop()
                why = f"Kafka does not tell how far its topics are ({type(away).__name__})"
                self._failed = asyncio.get_running_loop().time(), why, self._outage.goes_on()
                raise KafkaAwayError(*self._failed[1:]) from away
            self._outage.over()
        return {(at.topic, at.partition): end for at, end in found.items()}

    async def stop(self) -> None:
        """Leave Kafka."""
        async with self._lock:
            await self._drop()

    async def _drop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            try:
                async with asyncio.timeout(1):
                    await consumer.stop()
            except Exception:  # noqa: S110 - closing a broken connection may fail in any way; it is gone
                pass
