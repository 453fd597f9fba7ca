"""A worker that was told no generation carries on all that ingest, and finds out what becomes of them."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from runstone.events import types
from runstone_ingest import following
from runstone_ingest.following import Following
from runstone_store import generation_changes, generations, pool
from tests.fix_replay import read_as, until_state
from tests.publishing import envelope

RUN = "0a" * 16


@asynccontextmanager
async def follow(kafka: str, database: str, prefix: str) -> AsyncIterator[Following]:
    worker = Following(kafka, database, prefix)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        async with asyncio.timeout(5):
            await task


async def test_a_replay_whose_process_died_is_carried_on_and_one_that_is_dropped_is_left(
    kafka, database, prefix, publish, db, monkeypatch
):
    monkeypatch.setattr(following, "ORPHANED_SECONDS", 0.2)
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.1)
    await publish.publish(envelope(RUN, 0, [types.Tag("a", "1", 1)]))
    connection = await pool.connect_writer(database, "test")
    async with follow(kafka, database, prefix) as worker:
        await db.applied(2)
        name, _ = await generation_changes.begin(connection, None, None, "")
        await until_state(connection, name, "ready")
        assert await read_as(db, name, "SELECT key FROM tags") == [("a",)]
        assert worker.generations == ["runstone_g1", name]
        await generation_changes.flip(connection, name)
        await publish.publish(envelope(RUN, 1, [types.Tag("b", "2", 1)]))
        await db.applied(3)  # the retired one goes on
        await generation_changes.flip(connection, "runstone_g1")
        await generation_changes.drop(connection, name)
        deadline = time.monotonic() + 10
        while name in worker.generations:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        assert [one.name for one in await generations.listed(connection)] == ["runstone_g1"]
        await publish.publish(envelope(RUN, 2, [types.Tag("c", "3", 1)]))
        await db.applied(4)
    connection.terminate()


async def test_numbers_of_generations_are_never_used_again(database, db):
    connection = await pool.connect_writer(database, "test")
    first, _ = await generation_changes.begin(connection, None, None, "")
    await generation_changes.drop(connection, first)
    second, _ = await generation_changes.begin(connection, None, None, "")
    assert (first, second) == ("runstone_g2", "runstone_g3")
    connection.terminate()


async def test_a_server_whose_goodbye_is_being_read_while_it_is_asked_is_waited_for(
    kafka, database, prefix, publish, db, monkeypatch
):
    """Asyncpg has an error of its own for that moment, which ended a worker when Postgres was killed."""
    listed, failed = generations.listed, []

    async def fails_once(connection):
        if not failed:
            failed.append(True)
            raise asyncpg.InternalClientError(
                "cannot switch to state 11; another operation (2) is in progress"
            )
        return await listed(connection)

    monkeypatch.setattr(generations, "listed", fails_once)
    worker = Following(kafka, database, prefix)
    task = asyncio.create_task(worker.run())
    try:
        await db.applied(1)
    finally:
        worker.stop()
        await task
    assert failed
