"""A real Kafka and a real Postgres, started once a session; fresh topics and a cloned database per test.

- ``kafka``: the bootstrap servers, "127.0.0.1:port".
- ``far_kafka``: where the same broker tells others to go, (host, port). Nobody listens there until a test puts
  something between, which finds the broker itself at 127.0.0.1 and the same port.
- ``postgres``: the running server (``Postgres.dsn(database)``).
- ``topics``: a prefix of its own with its two topics created (``Topics``).
- ``prefix``: a prefix of its own and no topics.
- ``database``: the DSN of a migrated database of its own.
- ``another_database``: a second one, to compare with.
- ``empty_database``: the DSN of a database of its own with nothing in it.

Where Postgres' data lies on disk does not matter here, so it runs without fsync.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
import threading
import uuid
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from runstone.events import limits
from runstone_local import fetch
from runstone_local.kafka import KafkaAddresses, KafkaNode
from runstone_local.layout import ROOT_FOLDER, DataFolder
from runstone_local.ports import free_ports
from runstone_local.postgres import PostgresServer, create_database, drop_database
from runstone_store.migrations import migrate

TEST_PARTITIONS = 4
TEMPLATE = "runstone_template"

TOPIC_SETTINGS = {
    "retention.ms": "-1",
    "cleanup.policy": "delete",
    "max.message.bytes": str(limits.TOPIC_MAX),
    "message.timestamp.type": "LogAppendTime",
}


def run_apart(work: Coroutine[Any, Any, Any]) -> Any:
    """Run *work* in an event loop of its own in another thread: fixtures must not touch the tests' loop."""
    outcome: list[Any] = []
    failure: list[BaseException] = []

    def target() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as failed:  # handed on to the caller below
            failure.append(failed)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


@pytest.fixture(scope="session")
def session_folder() -> Iterator[DataFolder]:
    """A folder that Postgres' account can reach, also when root runs the tests."""
    base: Path | None = None
    if os.geteuid() == 0:
        base = ROOT_FOLDER
        base.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder = DataFolder(Path(tempfile.mkdtemp(prefix="tests-", dir=base)))
    folder.path.chmod(0o711)
    folder.create()
    yield folder
    shutil.rmtree(folder.path)


@pytest.fixture(scope="session")
def kafka_addresses() -> KafkaAddresses:
    """Where the broker of the session listens."""
    return KafkaAddresses(*free_ports(3), advertised_host="127.0.0.2")


@pytest.fixture(scope="session")
def far_kafka(kafka: str, kafka_addresses: KafkaAddresses) -> tuple[str, int]:
    """Where the broker tells clients of its external listener to go: the broker is at 127.0.0.1, same port."""
    return kafka_addresses.advertised_host, kafka_addresses.external_port


@pytest.fixture(scope="session")
def kafka(session_folder: DataFolder, kafka_addresses: KafkaAddresses) -> Iterator[str]:
    """The bootstrap servers of a real Kafka broker."""
    install = fetch.fetch_kafka(print)
    node = KafkaNode(install, session_folder.kafka, kafka_addresses, session_folder.log("kafka"))
    run_apart(node.prepare())
    running = node.start()
    try:
        run_apart(node.wait_ready(running))
        yield kafka_addresses.internal
    finally:
        run_apart(node.stop(running))


@pytest.fixture(scope="session")
def postgres(session_folder: DataFolder) -> Iterator[PostgresServer]:
    """A real Postgres server, with a template database that was migrated once."""
    settings = {
        "fsync": "off",
        "full_page_writes": "off",
        "synchronous_commit": "off",
        "max_connections": "100",
    }
    server = PostgresServer(session_folder, free_ports(1)[0], settings)
    run_apart(server.prepare())
    running = server.start()
    try:
        run_apart(server.wait_ready(running))
        run_apart(_make_template(server))
        yield server
    finally:
        run_apart(server.stop(running))


async def _make_template(server: PostgresServer) -> None:
    await create_database(server.dsn("postgres"), TEMPLATE)
    await migrate(server.dsn(TEMPLATE))


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """The DSN of a database of this test's own, migrated."""
    with migrated_database(postgres) as dsn:
        yield dsn


@pytest.fixture
def another_database(postgres: PostgresServer) -> Iterator[str]:
    """The DSN of a second database of this test's own, migrated."""
    with migrated_database(postgres) as dsn:
        yield dsn


@pytest.fixture
def empty_database(postgres: PostgresServer) -> Iterator[str]:
    """The DSN of a database of this test's own, with nothing in it."""
    with _database(postgres, None) as dsn:
        yield dsn


def migrated_database(server: PostgresServer) -> contextlib.AbstractContextManager[str]:
    """The DSN of a migrated database that is dropped again."""
    return _database(server, TEMPLATE)


@contextlib.contextmanager
def _database(server: PostgresServer, template: str | None) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    run_apart(create_database(server.dsn("postgres"), name, template=template))
    try:
        yield server.dsn(name)
    finally:
        run_apart(drop_database(server.dsn("postgres"), name))


@dataclass(frozen=True)
class Topics:
    """The two topics of one test."""

    prefix: str
    events: str
    catalog: str
    partitions: int
    bootstrap: str


@pytest.fixture
def prefix() -> str:
    """A topic prefix that nobody uses."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def topics(kafka: str, prefix: str) -> Iterator[Topics]:
    """This test's own topics, empty, with the settings that Runstone's have."""
    made = Topics(prefix, f"{prefix}.events", f"{prefix}.catalog", TEST_PARTITIONS, kafka)
    run_apart(_create(made))
    yield made
    run_apart(_delete(made))


async def _create(topics: Topics) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=topics.bootstrap)
    await admin.start()
    try:
        await admin.create_topics(
            [
                NewTopic(topics.events, topics.partitions, 1, topic_configs=TOPIC_SETTINGS),
                NewTopic(topics.catalog, 1, 1, topic_configs=TOPIC_SETTINGS),
            ]
        )
    finally:
        await admin.close()


async def _delete(topics: Topics) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=topics.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topics.events, topics.catalog])
    finally:
        await admin.close()
