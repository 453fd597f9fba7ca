"""A worker in the test's own event loop, and what it needs around it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from runstone_ingest import topics
from runstone_ingest.worker import Worker
from tests.publishing import Database, Publisher, asking, publisher

PARTITIONS = 3


@asynccontextmanager
async def working(
    kafka: str, database: str, prefix: str, lost_after: float | None = None
) -> AsyncIterator[Worker]:
    """A worker that works inside of the block and must stop within 5 seconds after it."""
    worker = Worker(kafka, database, prefix, lost_after)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        async with asyncio.timeout(5):
            await task


@pytest.fixture
async def publish(kafka: str, prefix: str) -> AsyncIterator[Publisher]:
    """A publisher to this test's topics, which hold one record: the installation's."""
    await topics.create(kafka, prefix, PARTITIONS)
    async with publisher(kafka, prefix, PARTITIONS) as made:
        yield made


@pytest.fixture
async def db(database: str) -> AsyncIterator[Database]:
    """Asks this test's read model."""
    async with asking(database) as made:
        yield made
