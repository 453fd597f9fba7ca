"""The services that all tests stand on are the real ones, and each test has its own part of them."""

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.fix_services import Topics


async def test_a_record_comes_back_from_a_real_broker_with_the_brokers_own_time(topics: Topics) -> None:
    async with AIOKafkaProducer(bootstrap_servers=topics.bootstrap, enable_idempotence=True) as producer:
        sent = await producer.send_and_wait(topics.events, b"value", key=b"key", partition=3, timestamp_ms=1)
    async with AIOKafkaConsumer(
        topics.events, bootstrap_servers=topics.bootstrap, auto_offset_reset="earliest"
    ) as consumer:
        got = await consumer.getone()
    assert (got.partition, got.offset, got.key, got.value) == (3, sent.offset, b"key", b"value")
    assert got.timestamp > 1_600_000_000_000


async def test_a_test_has_a_database_of_its_own(database: str, empty_database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        await connection.execute("CREATE TABLE only_here (a int)")
        assert await connection.fetchval("SELECT count(*) FROM only_here") == 0
    finally:
        await connection.close()
    connection = await asyncpg.connect(empty_database)
    try:
        assert await connection.fetchval("SELECT to_regclass('only_here')") is None
        assert await connection.fetchval("SHOW server_encoding") == "UTF8"
    finally:
        await connection.close()
