"""The worker carries hand-made records from a real Kafka into a real Postgres, each exactly once."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from runstone.events import CATALOG, types
from runstone_ingest import topics as ledger
from runstone_ingest.worker import Worker
from tests.publishing import Database, Publisher, asking, envelope, points, publisher

PARTITIONS = 3
RUN = "0a" * 16
OTHER_RUN = "0b" * 16
SENDER = "5e" * 16


@asynccontextmanager
async def working(kafka: str, database: str, prefix: str) -> AsyncIterator[Worker]:
    worker = Worker(kafka, database, prefix)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        async with asyncio.timeout(5):
            await task


@pytest.fixture
async def publish(kafka: str, prefix: str) -> AsyncIterator[Publisher]:
    await ledger.create(kafka, prefix, PARTITIONS)
    async with publisher(kafka, prefix, PARTITIONS) as made:
        yield made


@pytest.fixture
async def db(database: str) -> AsyncIterator[Database]:
    async with asking(database) as made:
        yield made


def started(time: int = 1000, **more: object) -> types.RunStarted:
    return types.RunStarted(7, "digits", "first", time, **more)


async def test_a_run_arrives_with_everything_that_was_said_of_it(kafka, database, prefix, publish, db):
    await publish.publish(
        envelope(CATALOG, 0, [types.ExperimentCreated("digits", 5)]),
        envelope(
            RUN,
            0,
            [
                started(user="ada", context={"host": "h"}),
                types.Param("lr", "0.1", 1001),
                types.Tag("kind", "test", 1002),
                types.Artifact("a/b.txt", "file:///x", 3, "0" * 64, "text/plain", 1003),
            ],
            points(("acc", 0, 1004, 0.5), ("acc", 1, 1005, math.nan), ("loss", 0, 1004, -0.0)),
        ),
        envelope(RUN, 7, [types.RunEnded("FINISHED", 2000)]),
    )
    async with working(kafka, database, prefix):
        await db.applied(4)
    assert await db.rows("SELECT status, start_time, end_time, user_name, context, attempt FROM runs") == [
        ("FINISHED", 1000, 2000, "ada", {"host": "h"}, 1)
    ]
    assert await db.rows("SELECT key, value FROM params") == [("lr", "0.1")]
    assert await db.rows("SELECT key, value FROM runstone.tags") == [("kind", "test")]
    assert await db.rows("SELECT path, size FROM artifacts") == [("a/b.txt", 3)]
    (acc, loss) = await db.rows("SELECT key, steps, times, vals FROM metric_chunks ORDER BY key")
    assert acc[:3] == ("acc", [0, 1], [1004, 1005])
    assert acc[3][0] == 0.5
    assert math.isnan(acc[3][1])
    assert math.copysign(1, loss[3][0]) == -1
    assert await db.rows("SELECT key, step, points FROM latest_metrics ORDER BY key") == [
        ("acc", 1, 2),
        ("loss", 0, 1),
    ]
    assert len(await db.rows("SELECT key, value FROM ranked_metrics")) == 2
    assert await db.rows("SELECT name FROM experiments ORDER BY name") == [("Default",), ("digits",)]
    assert await db.rows("SELECT partitions FROM installation") == [(PARTITIONS,)]
    assert await db.rows("SELECT high_seq, missing::text FROM marks WHERE stream <> 'catalog'") == [(7, "{}")]
