"""Where the ledger's partitions end, now, at an offset that was named, or at a time by the brokers' clock."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from runstone.exceptions import InvalidInputError
from runstone_ingest import topics
from runstone_ingest.exceptions import TopicError
from runstone_store import kafka_settings
from runstone_store.configuration import catalog_topic, events_topic

Ends = Mapping[TopicPartition, int]

CATALOG: Final = "catalog"
"""How people name the catalog's one partition."""


class Ledger:
    """Asks one Kafka about one ledger; made by `opened`."""

    def __init__(self, consumer: Any, prefix: str, partitions: int) -> None:
        self._consumer = consumer
        self.events = events_topic(prefix)
        self.catalog = catalog_topic(prefix)
        self.partitions = [TopicPartition(self.events, n) for n in range(partitions)]
        self.partitions.append(TopicPartition(self.catalog, 0))

    async def ends(self) -> Ends:
        """The next offset of each partition.

        Raises:
            TopicError: Kafka does not answer.
        """
        try:
            return dict(await self._consumer.end_offsets(self.partitions))
        except (KafkaError, OSError) as failed:
            raise TopicError(f"Kafka does not tell where the topics end: {failed!r}") from failed

    async def ends_at(self, time: int) -> Ends:
        """For each partition the offset of the first record not older than *time* (ms), or its end."""
        ends = await self.ends()
        try:
            found = await self._consumer.offsets_for_times(dict.fromkeys(self.partitions, time))
        except (KafkaError, OSError) as failed:
            raise TopicError(f"Kafka does not tell its offsets by time: {failed!r}") from failed
        return {tp: found[tp].offset if found.get(tp) else end for tp, end in ends.items()}


@asynccontextmanager
async def opened(bootstrap: str, prefix: str) -> AsyncIterator[Ledger]:
    """The ledger of *prefix*.

    Raises:
        TopicError: Kafka does not answer, or the topics are not there.
    """
    installation = await topics.installation(bootstrap, prefix)
    if installation is None:
        raise TopicError(f"{catalog_topic(prefix)} names no installation; run 'runstone topic create'")
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        client_id="runstone-replay",
        group_id=None,
        auto_offset_reset="none",
        enable_auto_commit=False,
        **kafka_settings.security(),
    )
    try:
        try:
            await consumer.start()
        except (KafkaError, OSError) as failed:
            raise TopicError(f"Kafka at {bootstrap} does not answer: {failed!r}") from failed
        yield Ledger(consumer, prefix, installation.partitions)
    finally:
        await consumer.stop()


def named_ends(text: str, ledger_ends: Ends, events: str) -> Ends:
    """The ends in ``PARTITION:NEXT_OFFSET,…,catalog:NEXT_OFFSET``; other partitions end where they do now.

    Raises:
        InvalidInputError: it is not of that form, or names what the topics do not have.
    """
    ends = dict(ledger_ends)
    for part in text.split(","):
        name, _, offset = part.strip().partition(":")
        found = [
            tp
            for tp in ends
            if (name == CATALOG and tp.topic != events) or (tp.topic == events and name == str(tp.partition))
        ]
        if not found or not offset.isascii() or not offset.isdecimal():
            raise InvalidInputError(
                f"--until-offset: found {part!r}, expected PARTITION:NEXT_OFFSET with a partition of "
                f"{events} or the word catalog, several joined by commas"
            )
        if int(offset) > ends[found[0]]:
            raise InvalidInputError(
                f"--until-offset: {part!r} lies beyond the end of the partition, which is {ends[found[0]]}"
            )
        ends[found[0]] = int(offset)
    return ends


def time_ms(text: str, now: int) -> int:
    """The milliseconds of an ISO 8601 time (without a zone: UTC) or of digits; not in the future of *now*.

    Raises:
        InvalidInputError: it is neither, or lies in the future.
    """
    if text.isascii() and text.isdecimal() and len(text) >= len("1000000000000"):
        found = int(text)
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise InvalidInputError(
                f"--until-time: found {text!r}, expected a time such as 2026-11-24T09:30:00+00:00 "
                f"(without a zone: UTC), or milliseconds since 1970"
            ) from None
        found = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    if found > now:
        raise InvalidInputError(f"--until-time: {text} lies in the future, where nothing has happened yet")
    return found


def as_json(ends: Ends) -> dict[str, dict[str, int]]:
    """The form in which a generation keeps its end."""
    kept: dict[str, dict[str, int]] = {}
    for tp, offset in ends.items():
        kept.setdefault(tp.topic, {})[str(tp.partition)] = offset
    return kept
