"""Reads many partitions of the topics once more, all at a time, for whoever compares them with a read model.

No consumer group is involved, so nothing that workers do is disturbed.
"""

import time
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Final

from aiokafka import TopicPartition

from runstone_ingest import scanning
from runstone_ingest.exceptions import TopicError
from runstone_ingest.records import Record
from runstone_store.configuration import catalog_topic, events_topic

_CLIENT: Final = "runstone-verify"
_POLL_MS: Final = 250

Span = tuple[int, int]
"""Offsets ``low … end - 1``."""


def places(prefix: str, partitions: int) -> list[TopicPartition]:
    """The partitions of the ledger, of which *partitions* carry events."""
    events = [TopicPartition(events_topic(prefix), number) for number in range(partitions)]
    return [TopicPartition(catalog_topic(prefix), 0), *events]


async def spans(bootstrap: str, places: Collection[TopicPartition]) -> dict[TopicPartition, Span]:
    """What these partitions hold now.

    Raises:
        TopicError: Kafka does not answer, or one of the topics is not there.
    """
    async with scanning.reader(bootstrap, _CLIENT) as consumer:
        missing = {tp.topic for tp in places} - await consumer.topics()
        if missing:
            raise TopicError(f"the topic {min(missing)} is not there; run 'runstone topic create'")
        low, end = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        return {tp: (low[tp], end[tp]) for tp in sorted(places)}


async def read(bootstrap: str, wanted: Mapping[TopicPartition, Span]) -> AsyncIterator[Record]:
    """The records of these spans, in order within each partition.

    Raises:
        TopicError: Kafka does not answer, does not have these offsets, or is silent for too long.
    """
    left = {tp: end for tp, (low, end) in wanted.items() if low < end}
    if not left:
        return
    async with scanning.reader(bootstrap, _CLIENT) as consumer:
        consumer.assign(list(left))
        for tp in left:
            consumer.seek(tp, wanted[tp][0])
        heard = time.monotonic()
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
            if fetched:
                heard = time.monotonic()
            elif time.monotonic() - heard > scanning.PATIENCE:
                waiting = ", ".join(f"{tp.topic}/{tp.partition}" for tp in left)
                raise TopicError(
                    f"nothing came of {waiting} for {scanning.PATIENCE:.0f} s; are the brokers well?"
                )
