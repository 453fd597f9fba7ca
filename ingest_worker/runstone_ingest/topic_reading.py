"""Reads parts of the topics once more, for whoever compares them with what was made of them.

No consumer group is involved, so nothing that workers do is disturbed.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from runstone.events import limits
from runstone_ingest.exceptions import TopicError
from runstone_ingest.records import Record
from runstone_store import kafka_settings
from runstone_store.configuration import catalog_topic, events_topic

_POLL_MS: Final = 250
_FETCH_WAIT_MS: Final = 50

Span = tuple[int, int]
"""Offsets ``low … end - 1``."""


def places(prefix: str, partitions: int) -> list[TopicPartition]:
    """The partitions of the ledger, of which *partitions* carry events."""
    events = [TopicPartition(events_topic(prefix), number) for number in range(partitions)]
    return [TopicPartition(catalog_topic(prefix), 0), *events]


def _consumer(bootstrap: str) -> Any:
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        auto_offset_reset="none",
        enable_auto_commit=False,
        fetch_max_wait_ms=_FETCH_WAIT_MS,
        max_partition_fetch_bytes=limits.TOPIC_MAX + limits.MIB,
        **kafka_settings.security(),
    )


async def spans(bootstrap: str, places: Collection[TopicPartition]) -> dict[TopicPartition, Span]:
    """What these partitions hold now.

    Raises:
        TopicError: Kafka does not answer, or one of the topics is not there.
    """
    consumer = _consumer(bootstrap)
    try:
        await consumer.start()
        missing = {tp.topic for tp in places} - await consumer.topics()
        if missing:
            raise TopicError(f"the topic {min(missing)} is not there; run 'runstone topic create'")
        low, end = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        return {tp: (low[tp], end[tp]) for tp in sorted(places)}
    except (KafkaError, OSError) as failed:
        raise TopicError(f"Kafka at {bootstrap} does not answer as expected: {failed!r}") from failed
    finally:
        await consumer.stop()


async def read(bootstrap: str, wanted: Mapping[TopicPartition, Span]) -> AsyncIterator[Record]:
    """The records of these spans, in order within each partition.

    Raises:
        TopicError: Kafka does not answer, or does not have these offsets.
    """
    left = {tp: end for tp, (low, end) in wanted.items() if low < end}
    if not left:
        return
    consumer = _consumer(bootstrap)
    try:
        await consumer.start()
        consumer.assign(list(left))
        for tp in left:
            consumer.seek(tp, wanted[tp][0])
        while left:
            fetched = await consumer.getmany(*left, timeout_ms=_POLL_MS)
            for tp, messages in fetched.items():
                for m in messages:
                    if m.offset < left[tp]:
                        yield Record(m.topic, m.partition, m.offset, m.key, m.value, m.headers, m.timestamp)
            for tp in list(left):
                if await consumer.position(tp) >= left[tp]:
                    del left[tp]
                    consumer.pause(tp)
    except (KafkaError, OSError) as failed:
        raise TopicError(f"reading the topics from Kafka at {bootstrap} failed: {failed!r}") from failed
    finally:
        await consumer.stop()
