"""An installation on which histories are played: real topics, a real read model, real workers, the plain model.

Kafka and Postgres are those of the tests. Everything asynchronous runs in an event loop in a thread of its
own, since Hypothesis calls the steps of a history without one.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
import uuid
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Coroutine
from typing import Any

import asyncpg
from aiokafka import TopicPartition

from runstone.events import Envelope, encoding, identity
from runstone_ingest import dead_letters, logical_content, topic_reading, topics
from runstone_ingest.exceptions import IngestError
from runstone_ingest.plain_model import PlainModel
from runstone_ingest.redrive import Redrive
from runstone_ingest.verify import verify
from runstone_ingest.verify.findings import WRONG
from runstone_local.postgres import PostgresServer
from runstone_store import pool
from tests.fix_services import migrated_database
from tests.publishing import Publisher, publisher

PARTITIONS = 3
_WAIT_SECONDS = 30


class Stage:
    """Made with `open`; `close` ends what it has started."""

    def __init__(self, kafka: str, postgres: PostgresServer, bug: str = "") -> None:
        """*bug*: one of `tests.faults.mutants` that its workers have."""
        self._program = ("tests.faults.mutants", bug) if bug else ("tests.faults.merging_worker",)
        self.kafka = kafka
        self.prefix = f"test-{uuid.uuid4().hex[:12]}"
        self.model = PlainModel()
        self._postgres = postgres
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._things = contextlib.ExitStack()
        self._async_things = contextlib.AsyncExitStack()
        self._workers: list[Process] = []
        self._read: dict[TopicPartition, int] = {}
        self._publisher: Publisher

    def open(self) -> "Stage":
        self._thread.start()
        self._things.callback(self._end_loop)
        self.dsn = self._things.enter_context(migrated_database(self._postgres))
        self.run(self._open())
        return self

    async def _open(self) -> None:
        await topics.create(self.kafka, self.prefix, PARTITIONS)
        self._publisher = await self._async_things.enter_async_context(
            publisher(self.kafka, self.prefix, PARTITIONS)
        )
        await self.start_worker()

    def close(self) -> None:
        with self._things:
            self.run(self._close())

    async def _close(self) -> None:
        try:
            await self._end_workers()
        finally:
            await self._async_things.aclose()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What *work* comes to, within a minute."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def start_worker(self) -> None:
        """One more; it is not waited for."""
        self._workers.append(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *self._program),
                stdout=DEVNULL,
                stderr=DEVNULL,
                env=os.environ
                | {
                    "RUNSTONE_BOOTSTRAP_SERVERS": self.kafka,
                    "RUNSTONE_POSTGRES_DSN": self.dsn,
                    "RUNSTONE_TOPIC_PREFIX": self.prefix,
                },
            )
        )

    async def end_worker(self, number: signal.Signals) -> None:
        """The oldest worker gets a signal, and ends."""
        process = self._workers.pop(0)
        assert process.returncode is None, f"a worker has ended by itself, with {process.returncode}"
        process.send_signal(number)
        async with asyncio.timeout(10):
            await process.wait()

    async def cut_connections(self) -> None:
        """Postgres ends the connections of all workers."""
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'runstone worker%' AND datname = current_database()"
            )
        finally:
            await connection.close()

    async def redrive(self, stream: str) -> None:
        """Make a stream again, if anything of its partition is applied yet."""
        connection = await asyncpg.connect(self.dsn, server_settings={"search_path": "runstone_g1"})
        await pool.speak_json(connection)
        try:
            await Redrive(self.kafka, self.prefix, PARTITIONS, connection).run(stream)
        except IngestError as refused:
            if "no worker has applied anything" not in str(refused):
                raise
        finally:
            await connection.close()

    async def verified(self) -> list[str]:
        """What `runstone verify` finds wrong. (Losses are what random histories are made of.)"""
        connection = await self.settled()
        try:
            report = await verify(connection, self.kafka, self.prefix, "runstone_g1", sample=1000)
        finally:
            await connection.close()
        return [f"{found.where}: {found.what}" for found in report.findings if found.kind == WRONG]

    def begin_again(self) -> None:
        """Let one worker fill an empty read model from the same topics."""
        self.run(self._end_workers())
        self.dsn = self._things.enter_context(migrated_database(self._postgres))
        self.run(self.start_worker())

    async def _end_workers(self) -> None:
        while self._workers:
            if self._workers[0].returncode is None:
                await self.end_worker(signal.SIGKILL)
            else:
                self._workers.pop(0)

    async def publish(self, *envelopes: Envelope) -> None:
        await self._publisher.publish(*envelopes)

    async def publish_bytes(self, value: bytes, session: str, stream: str, first_seq: int, n: int) -> None:
        """A record whose headers are right, whatever its value is."""
        await self._publisher.records([(stream, value, encoding.headers(session, stream, first_seq, n))])

    async def settled(self, schema: str = "runstone_g1") -> Any:
        """A connection to the read model once it has applied what the topics hold; the model has as well."""
        found = await topic_reading.spans(self.kafka, topic_reading.places(self.prefix, PARTITIONS))
        fresh = {tp: (self._read.get(tp, 0), end) for tp, (_low, end) in found.items()}
        async for record in topic_reading.read(self.kafka, fresh):
            catalog = record.topic.endswith(".catalog")
            self.model.apply(
                dead_letters.admit(record, catalog, lambda stream: identity.partition_of(stream, PARTITIONS))
            )
        self._read = {tp: end for tp, (_low, end) in fresh.items()}
        connection = await asyncpg.connect(self.dsn, server_settings={"search_path": schema})
        await pool.speak_json(connection)
        async with asyncio.timeout(_WAIT_SECONDS):
            while not await _reached(connection, self._read):  # noqa: ASYNC110  # Postgres tells nobody
                await asyncio.sleep(0.01)
        return connection

    async def merged(self) -> None:
        """Wait until no chunk waits to be merged."""
        connection = await self.settled()
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                while await connection.fetchval("SELECT EXISTS (SELECT FROM metric_chunks)"):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        finally:
            await connection.close()

    async def differences(self, streams: list[str]) -> list[str]:
        """How the read model differs from the plain one in *streams*, the catalog and the partitions."""
        connection = await self.settled()
        try:
            found = await logical_content.of_streams(connection, streams)
            catalog = await logical_content.of_catalog(connection)
            catalog |= (await logical_content.of_streams(connection, ["catalog"]))["catalog"]
            partitions = await logical_content.of_partitions(connection)
        finally:
            await connection.close()
        expected = [(self.model.content(stream), found[stream]) for stream in streams]
        expected += [(self.model.catalog(), catalog), (self.model.partitions(), partitions)]
        return [line for wanted, there in expected for line in logical_content.differences(wanted, there)]


async def _reached(connection: Any, ends: dict[TopicPartition, int]) -> bool:
    rows = await connection.fetch("SELECT topic, partition, next_offset FROM ingest_partitions")
    applied = {TopicPartition(topic, partition): offset for topic, partition, offset in rows}
    return all(applied.get(tp, 0) >= end for tp, end in ends.items())
