"""Generations beside the live one, in the test's own event loop.

- ``replaying``: builds a generation with a worker of its own; it works until the block ends.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from runstone_ingest.replay_offsets import as_json, opened
from runstone_ingest.replay_verify import Compared, Verification
from runstone_ingest.worker import Worker
from runstone_store import generation_changes, generations, pool
from tests.fix_worker import PARTITIONS
from tests.publishing import Database


@asynccontextmanager
async def replaying(
    kafka: str, database: str, prefix: str, until: dict | None = None, rate: float | None = None
) -> AsyncIterator[str]:
    """The name of a new generation that has caught up (or reached *until*)."""
    connection = await pool.connect_writer(database, "test")
    asked = "" if until is None else "the test's offsets"
    name, _ = await generation_changes.begin(connection, until and as_json(until), rate, asked)
    worker = Worker(kafka, database, prefix, None, name)
    task = asyncio.create_task(worker.run())
    try:
        await until_state(connection, name, "ready" if until is None else "frozen")
        yield name
    finally:
        worker.stop()
        async with asyncio.timeout(5):
            await task
        connection.terminate()


async def until_state(connection, name: str, state: str, seconds: float = 20) -> None:
    """Wait until the generation is in that state."""
    deadline = time.monotonic() + seconds
    while (found := (await generations.find(connection, name)).state) != state:
        assert time.monotonic() < deadline, f"{name} is still {found}"
        await asyncio.sleep(0.02)


async def compare(database: str, prefix: str, one: str, other: str, settle: float = 5) -> Compared:
    """What `runstone replay verify` finds."""
    connection = await pool.connect_writer(database, "test")
    try:
        ledger = (f"{prefix}.events", f"{prefix}.catalog", PARTITIONS)
        return await Verification(connection, (one, other), ledger).run(lambda *_: None, settle)
    finally:
        connection.terminate()


async def ends(kafka: str, prefix: str) -> dict:
    """Where the topics end."""
    async with opened(kafka, prefix) as ledger:
        return dict(await ledger.ends())


async def read_as(db: Database, generation: str, query: str) -> list[tuple]:
    """The rows of *query* in that generation."""
    await db.connection.execute("SELECT set_config('search_path', $1, false)", generation)
    try:
        return await db.rows(query)
    finally:
        await db.connection.execute("SET search_path TO runstone_g1")
