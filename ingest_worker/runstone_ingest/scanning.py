"""Reads a stretch of one partition again, beside the worker: for redrives, repairs and checks.

A consumer of its own without a group, so nothing of the worker's is moved. ``getmany`` is never cancelled; a
broker that does not answer ends the scan with an error after `PATIENCE` seconds without progress.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from runstone.events import limits
from runstone_ingest.exceptions import TopicError
from runstone_ingest.records import Record
from runstone_store import kafka_settings

PATIENCE: Final = 30.0

FETCH_BYTES: Final = limits.TOPIC_MAX + limits.MIB
FETCH_WAIT_MS: Final = 50
"""How long a broker may hold a fetch open: one is in flight, and the end of a scan waits for it."""

_POLL_MS: Final = 500


@asynccontextmanager
async def reader(bootstrap: str, client_id: str, fetch_bytes: int = FETCH_BYTES) -> AsyncIterator[Any]:
    """A consumer without a group and without anything assigned; *fetch_bytes* of a partition at a time.

    Raises:
        TopicError: Kafka cannot be reached, or fails within the block.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        client_id=client_id,
        group_id=None,
        auto_offset_reset="none",
        enable_auto_commit=False,
        fetch_max_wait_ms=FETCH_WAIT_MS,
        max_partition_fetch_bytes=fetch_bytes,
        **kafka_settings.security(),
    )
    try:
        await consumer.start()
        yield consumer
    except (KafkaError, OSError) as failed:
        raise TopicError(f"Kafka at {bootstrap} does not answer as expected: {failed!r}") from failed
    finally:
        await consumer.stop()


async def bounds(consumer: Any, tp: TopicPartition) -> tuple[int, int]:
    """The first offset of *tp* and the one behind its last record.

    Raises:
        TopicError: the topic is not there.
        KafkaError: among others where the topic has no such partition.
    """
    if tp.topic not in await consumer.topics():
        raise TopicError(f"the topic {tp.topic} is not there; run 'runstone topic check'")
    consumer.assign([tp])
    first = (await consumer.beginning_offsets([tp]))[tp]
    return first, (await consumer.end_offsets([tp]))[tp]


async def records(consumer: Any, tp: TopicPartition, first: int, end: int) -> AsyncIterator[Record]:
    """The records of *tp* with offsets from *first* to below *end*, in order.

    Raises:
        TopicError: nothing has come for `PATIENCE` seconds.
        KafkaError: among others where *first* is not in the log.
    """
    consumer.assign([tp])
    consumer.seek(tp, first)
    heard = time.monotonic()
    while await consumer.position(tp) < end:
        fetched = await consumer.getmany(tp, timeout_ms=_POLL_MS)
        for m in fetched.get(tp, ()):
            if m.offset >= end:
                return
            yield Record(m.topic, m.partition, m.offset, m.key, m.value, m.headers, m.timestamp)
        if fetched:
            heard = time.monotonic()
        elif time.monotonic() - heard > PATIENCE:
            raise TopicError(
                f"{tp.topic}/{tp.partition}: nothing came from offset {await consumer.position(tp)} for "
                f"{PATIENCE:.0f} s, expected records until {end}; is the broker well?"
            )


async def record_at(consumer: Any, tp: TopicPartition, offset: int) -> Record | None:
    """The record at *offset* of *tp*; None where the log has a later one first. Waits for one of the two.

    Raises:
        KafkaError: among others where *offset* is not in the log.
    """
    consumer.assign([tp])
    consumer.seek(tp, offset)
    try:
        while True:
            for m in (await consumer.getmany(tp, timeout_ms=_POLL_MS)).get(tp, ()):
                found = Record(m.topic, m.partition, m.offset, m.key, m.value, m.headers, m.timestamp)
                return found if m.offset == offset else None
    finally:
        consumer.unsubscribe()  # else it would go on fetching what nobody takes
