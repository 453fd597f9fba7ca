"""The topics: two made with the settings that keep a ledger, one for heartbeats, and all checked.

Publishers never create topics: a broker's defaults would delete events after a week, and with a client's
time as the record's time one clock an hour ahead would be refused for good. The catalog's first record
names the installation and the number of partitions that streams are hashed by for ever. Heartbeats (which
sessions live, see `runstone_ingest.heard`) are no part of the ledger, so theirs are deleted after a week.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from runstone.events import CATALOG, Envelope, decode, encode, encoding, identity, limits
from runstone.events.types import InstallationCreated
from runstone.exceptions import MalformedEnvelopeError
from runstone_ingest.exceptions import TopicError
from runstone_store import kafka_settings
from runstone_store.configuration import catalog_topic, events_topic, liveness_topic

PARTITIONS: Final = 12
"""Of the events topic: what one installation's workers can share at most; fixed at its creation."""

SETTINGS: Final = {
    "retention.ms": "-1",
    "cleanup.policy": "delete",
    "max.message.bytes": str(limits.TOPIC_MAX),
    "message.timestamp.type": "LogAppendTime",
}

HEARTBEAT_SETTINGS: Final = {
    "retention.ms": str(7 * 24 * 3_600_000),
    "cleanup.policy": "delete",
    "message.timestamp.type": "LogAppendTime",
}

_READ_TIMEOUT_MS: Final = 10_000


def _unreachable(bootstrap: str, failed: Exception) -> TopicError:
    return TopicError(f"Kafka at {bootstrap} does not answer as expected: {failed!r}; is the broker up?")


@asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, **kafka_settings.security())
    try:
        await admin.start()
        yield admin
    except (KafkaError, OSError) as failed:
        raise _unreachable(bootstrap, failed) from failed
    finally:
        await admin.close()


async def create(bootstrap: str, prefix: str, partitions: int = PARTITIONS) -> InstallationCreated:
    """Make the topics of *prefix* where they are missing, and the installation's record if there is none.

    The replication is the broker's default. Existing topics are left as they are; `check` says whether they
    will do.

    Returns:
        The installation that counts: of several records the first.

    Raises:
        TopicError: Kafka cannot be reached or refuses.
    """
    async with _admin(bootstrap) as admin:
        wanted = [
            NewTopic(
                name,
                partitions if name == events_topic(prefix) else 1,
                -1,
                replica_assignments={},
                topic_configs=settings,
            )
            for name, settings in _topics(prefix).items()
        ]
        answer = await admin.create_topics(wanted)
        for topic, code, *rest in answer.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                reason = rest[0] if rest and rest[0] else error.__name__
                raise TopicError(f"Kafka at {bootstrap} refuses to create the topic {topic}: {reason}")
        counts = await _wait_for_topics(admin, prefix)
    found = await installation(bootstrap, prefix)
    if found is not None:
        return found
    await _announce(
        bootstrap,
        prefix,
        InstallationCreated(uuid.uuid4().hex, counts[events_topic(prefix)], int(time.time() * 1000)),
    )
    found = await installation(bootstrap, prefix)
    assert found is not None, "the record was acknowledged a moment ago"
    return found


def _topics(prefix: str) -> dict[str, dict[str, str]]:
    """The settings that each topic must have."""
    return {
        events_topic(prefix): SETTINGS,
        catalog_topic(prefix): SETTINGS,
        liveness_topic(prefix): HEARTBEAT_SETTINGS,
    }


async def _counts(admin: Any, prefix: str) -> dict[str, int]:
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in await admin.describe_topics(list(_topics(prefix)))
        if not topic["error_code"]
    }


async def _wait_for_topics(admin: Any, prefix: str) -> dict[str, int]:
    for _attempt in range(100):  # a broker knows a topic a moment after it has confirmed its creation
        counts = await _counts(admin, prefix)
        if len(counts) == len(_topics(prefix)):
            return counts
        await asyncio.sleep(0.05)
    raise TopicError(f"Kafka has created the topics of {prefix}, but does not list them after 5 seconds")


async def _announce(bootstrap: str, prefix: str, event: InstallationCreated) -> None:
    session = identity.new_session_id()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", **kafka_settings.security())
    try:
        await producer.start()
        await producer.send_and_wait(
            catalog_topic(prefix),
            encode(Envelope(session, CATALOG, 0, 1, [0], [event])),
            key=CATALOG.encode(),
            partition=0,
            headers=encoding.headers(session, CATALOG, 0, 1),
        )
    except (KafkaError, OSError) as failed:
        raise _unreachable(bootstrap, failed) from failed
    finally:
        await producer.stop()


async def installation(bootstrap: str, prefix: str) -> InstallationCreated | None:
    """The first ``installation_created`` of the catalog, None where there is none.

    Raises:
        TopicError: Kafka cannot be reached, or the topic is not there.
    """
    catalog = TopicPartition(catalog_topic(prefix), 0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        auto_offset_reset="none",
        enable_auto_commit=False,
        **kafka_settings.security(),
    )
    try:
        await consumer.start()
        if catalog.topic not in await consumer.topics():
            raise TopicError(f"the topic {catalog.topic} is not there; run 'runstone topic create'")
        consumer.assign([catalog])
        end = (await consumer.end_offsets([catalog]))[catalog]
        consumer.seek(catalog, (await consumer.beginning_offsets([catalog]))[catalog])
        while await consumer.position(catalog) < end:
            for record in (await consumer.getmany(timeout_ms=_READ_TIMEOUT_MS)).get(catalog, []):
                for event in _events(record.value):
                    if isinstance(event, InstallationCreated):
                        return event
    except (KafkaError, OSError) as failed:
        raise _unreachable(bootstrap, failed) from failed
    finally:
        await consumer.stop()
    return None


def _events(value: bytes | None) -> list[Any]:
    try:
        return decode(value or b"").events
    except MalformedEnvelopeError:
        return []  # the worker makes a dead letter of it


async def check(bootstrap: str, prefix: str) -> list[str]:
    """What is wrong with the topics of *prefix*, a sentence each that says what to do; empty if nothing is.

    Raises:
        TopicError: Kafka cannot be reached.
    """
    async with _admin(bootstrap) as admin:
        counts = await _counts(admin, prefix)
        wanted = _topics(prefix)
        findings = [
            f"{name}: the topic is not there; run 'runstone topic create'"
            for name in wanted
            if name not in counts
        ]
        if not {events_topic(prefix), catalog_topic(prefix)} <= counts.keys():
            return findings
        resources = [
            ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(wanted[name])) for name in counts
        ]
        for answer in await admin.describe_configs(resources):
            for resource in answer.resources:
                name, entries = resource[3], resource[4]
                found = {entry[0]: entry[1] for entry in entries}
                findings += setting_findings(name, wanted[name], found)
    return findings + partition_findings(prefix, counts, await installation(bootstrap, prefix))


def setting_findings(topic: str, wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """What of a topic's settings would lose or refuse events. Larger records than needed may pass."""
    findings = []
    for name, expected in wanted.items():
        value = found.get(name)
        if value == expected:
            continue
        if name == "max.message.bytes" and value is not None and int(value) > int(expected):
            continue
        findings.append(
            f"{topic}: {name} is {value}, expected {expected}; set it with 'kafka-configs.sh --alter "
            f"--entity-type topics --entity-name {topic} --add-config {name}={expected}'"
        )
    return findings


def partition_findings(
    prefix: str, counts: dict[str, int], recorded: InstallationCreated | None
) -> list[str]:
    """Whether the topics have the partitions that streams are hashed by."""
    events, catalog = events_topic(prefix), catalog_topic(prefix)
    findings = []
    if counts[catalog] != 1:
        findings.append(f"{catalog}: it has {counts[catalog]} partitions, expected 1; only the first is used")
    if recorded is None:
        findings.append(f"{catalog}: it names no installation; run 'runstone topic create'")
    elif counts[events] > recorded.partitions:
        findings.append(
            f"{events}: it has {counts[events]} partitions, {recorded.partitions} were recorded at its "
            f"creation; those added later stay empty, since hashing anew would tear runs apart"
        )
    elif counts[events] < recorded.partitions:
        findings.append(
            f"{events}: it has {counts[events]} partitions, but {recorded.partitions} were recorded: the "
            f"topic was made again; its events are gone, restore them or use another RUNSTONE_TOPIC_PREFIX"
        )
    return findings
