"""The publisher against a real Kafka, with a connection that can be cut."""

import asyncio
import socket
import time

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from runstone.sender import publisher as publishing
from runstone.sender.publisher import Publisher, PublisherClosed, RecordRefused
from tests.black_hole import BlackHole

HEADERS = [("v", b"1")]


@pytest.fixture
async def publisher(topics):
    found = Publisher(topics.bootstrap, {})
    yield found
    await found.close()


async def contents(topics, topic, partition=0):
    """Every value in a partition, in order."""
    consumer = AIOKafkaConsumer(bootstrap_servers=topics.bootstrap)
    await consumer.start()
    try:
        part = TopicPartition(topic, partition)
        consumer.assign([part])
        await consumer.seek_to_beginning(part)
        end = (await consumer.end_offsets([part]))[part]
        found = []
        while await consumer.position(part) < end:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += [record.value for record in records]
        return found
    finally:
        await consumer.stop()


async def test_records_arrive_in_order_and_the_futures_give_their_offsets(publisher, topics):
    values = [b"%d" % i * (1 + i % 2000) for i in range(3000)]
    futures = [publisher.submit(topics.events, 1, b"k", value, HEADERS) for value in values]
    assert await asyncio.gather(*futures) == list(range(3000))
    assert await contents(topics, topics.events, 1) == values


async def test_a_record_that_is_too_large_is_refused_and_the_others_go_on(publisher, topics):
    name = f"{topics.prefix}.small"
    admin = AIOKafkaAdminClient(bootstrap_servers=topics.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1, topic_configs={"max.message.bytes": "20000"})])
        values = [b"a" * 9000, b"b" * 30_000, b"c" * 9000, b"d" * 9000]
        futures = [publisher.submit(name, 0, b"k", value, HEADERS) for value in values]
        found = await asyncio.gather(*futures, return_exceptions=True)
        assert [isinstance(one, RecordRefused) for one in found] == [False, True, False, False]
        assert "30000 bytes" in str(found[1])
        assert await contents(topics, name) == [values[0], values[2], values[3]]
    finally:
        await admin.delete_topics([name])
        await admin.close()


async def test_a_publisher_whose_broker_never_answers_can_be_closed(topics):
    silent = socket.create_server(("127.0.0.1", 0))  # the system accepts for it, and nobody reads
    port = silent.getsockname()[1]
    publisher = Publisher(f"127.0.0.1:{port}", {})
    future = publisher.submit(topics.events, 0, b"k", b"v", HEADERS)
    await asyncio.sleep(0)
    began = time.monotonic()
    await publisher.close()
    assert time.monotonic() - began < 8
    with pytest.raises(PublisherClosed):
        await future
    with pytest.raises(PublisherClosed):
        publisher.submit(topics.events, 0, b"k", b"v", HEADERS)
    silent.close()


async def test_records_wait_while_the_addresses_are_wrong(topics):
    troubles = []
    reported = asyncio.Event()

    def trouble(found):
        troubles.append(found)
        reported.set()

    publisher = Publisher("127.0.0.1:1", {}, trouble)
    futures = [publisher.submit(topics.events, 0, b"k", b"%d" % i, HEADERS) for i in range(10)]
    async with asyncio.timeout(10):
        await reported.wait()
    publisher.retarget(topics.bootstrap)
    async with asyncio.timeout(20):
        assert await asyncio.gather(*futures) == list(range(10))
    assert troubles[0] is not None
    assert troubles[-1] is None
    await publisher.close()


async def test_a_topic_that_is_missing_holds_up_no_other(publisher, topics):
    waiting = publisher.submit(f"{topics.prefix}.missing", 0, b"k", b"v", HEADERS)
    async with asyncio.timeout(5):
        for i in range(100):
            assert await publisher.submit(topics.events, 0, b"k", b"%d" % i, HEADERS) == i
    assert not waiting.done()


async def test_another_cluster_at_the_same_address_gets_nothing_until_it_is_trusted(topics):
    troubles = asyncio.Queue()
    publisher = Publisher(topics.bootstrap, {}, troubles.put_nowait, cluster_id="the-one-that-was-there")
    future = publisher.submit(topics.events, 0, b"k", b"v", HEADERS)
    async with asyncio.timeout(10):
        assert "its cluster id is" in await troubles.get()
    assert await contents(topics, topics.events) == []
    publisher.trust()
    async with asyncio.timeout(10):
        assert await future == 0
    assert publisher.cluster_id != "the-one-that-was-there"
    await publisher.close()


@pytest.fixture
async def way(far_kafka):
    """What lies between a publisher and the broker."""
    found = BlackHole(("127.0.0.1", far_kafka[1]))
    await found.start(*far_kafka)
    yield found
    await found.close()


async def test_a_connection_that_leads_nowhere_is_given_up_for_another(topics, far_kafka, way, monkeypatch):
    monkeypatch.setattr(publishing, "SEND_DEADLINE", 2.0)  # in full it takes ten seconds
    publisher = Publisher(f"{far_kafka[0]}:{far_kafka[1]}", {})
    assert await publisher.submit(topics.events, 0, b"k", b"before", HEADERS) == 0
    way.swallow()
    lost = [publisher.submit(topics.events, part, b"k", b"swallowed", HEADERS) for part in range(3)]
    await asyncio.sleep(0.1)
    way.forward()
    async with asyncio.timeout(10):
        await asyncio.gather(*lost)
    assert b"swallowed" in await contents(topics, topics.events, 0)
    await publisher.close()
