"""Kafka or Postgres goes away under a working worker, which waits, says so and goes on where it was."""

import asyncpg

from runstone.events import types
from runstone_ingest import topics
from runstone_local import fetch
from runstone_local.kafka import KafkaAddresses, KafkaNode
from runstone_local.layout import DataFolder
from runstone_local.ports import free_ports
from runstone_local.postgres import PostgresServer
from tests.fix_worker import PARTITIONS, working
from tests.publishing import Database, Publisher, envelope, publisher

RUN = "0a" * 16


async def test_a_broker_that_is_killed_and_comes_back_is_read_on(tmp_path, database, prefix, db: Database):
    folder = DataFolder(tmp_path)
    folder.create()
    node = KafkaNode(
        fetch.fetch_kafka(print), folder.kafka, KafkaAddresses(*free_ports(3)), folder.log("kafka")
    )
    await node.prepare()
    running = node.start()
    try:
        await node.wait_ready(running)
        await topics.create(node.addresses.internal, prefix, PARTITIONS)
        async with working(node.addresses.internal, database, prefix):
            async with publisher(node.addresses.internal, prefix, PARTITIONS) as publish:
                await publish.publish(envelope(RUN, 0, [types.Tag("before", "1", 1)]))
                await db.applied(2)
            running.kill()
            running.wait()
            running = node.start()
            await node.wait_ready(running)
            async with publisher(node.addresses.internal, prefix, PARTITIONS) as publish:
                await publish.publish(envelope(RUN, 1, [types.Tag("after", "2", 2)]))
                await db.applied(3, seconds=30)
    finally:
        await node.stop(running)
    assert await db.rows("SELECT key FROM tags ORDER BY key") == [("after",), ("before",)]
    assert await db.rows("SELECT sum(duplicates)::int FROM ingest_partitions") == [(0,)]


async def test_a_database_that_refuses_connections_for_a_while_is_waited_for(
    kafka: str,
    postgres: PostgresServer,
    database: str,
    prefix: str,
    publish: Publisher,
    db: Database,
    capsys,
):
    name = await db.connection.fetchval("SELECT current_database()")
    server = await asyncpg.connect(postgres.dsn("postgres"))
    try:
        async with working(kafka, database, prefix):
            await publish.publish(envelope(RUN, 0, [types.Tag("before", "1", 1)]))
            await db.applied(2)
            await server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            await db.rows("SELECT pg_terminate_backend(backend_pid) FROM ingest_partitions LIMIT 1")
            await publish.publish(envelope(RUN, 1, [types.Tag("after", "2", 2)]))
            said: list[str] = []
            await db.until("SELECT 1", lambda _rows: "does not answer" in heard(capsys, said))
            assert await db.rows("SELECT key FROM tags") == [("before",)]
            await server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            await db.applied(3)
    finally:
        await server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await server.close()
    assert await db.rows("SELECT key FROM tags ORDER BY key") == [("after",), ("before",)]


def heard(capsys, said: list[str]) -> str:
    """Everything on stderr so far."""
    said.append(capsys.readouterr().err)
    return "".join(said)
