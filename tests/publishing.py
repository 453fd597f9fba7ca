"""Hand-made records on a real topic, for tests of whoever reads it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer

from runstone.events import CATALOG, Envelope, Event, PointTable, encode, encoding, identity
from runstone_store import pool

SESSION = "5e55" * 8


def points(*values: tuple[str, int, int, float]) -> PointTable:
    """A table of points, each (key, step, time, value)."""
    table = PointTable()
    for key, step, at, value in values:
        series = encoding.series_key_from_json(key)
        if series not in table.keys:
            table.keys = (*table.keys, series)
        table.k.append(table.keys.index(series))
        table.s.append(step)
        table.t.append(at)
        table.v.append(value)
    return table


def envelope(
    stream: str,
    first_seq: int,
    events: Sequence[Event] = (),
    table: PointTable | None = None,
    session: str = SESSION,
) -> Envelope:
    """An envelope of *events* first and the points of *table* after them."""
    table = table or PointTable()
    n = len(events) + len(table)
    return Envelope(session, stream, first_seq, n, list(range(len(events))), list(events), table)


@dataclass
class Publisher:
    """Publishes records the way a sender does, or any other way."""

    producer: Any
    prefix: str
    partitions: int

    async def publish(self, *envelopes: Envelope) -> None:
        """Each as one record, in order, acknowledged."""
        await self.records(
            (e.stream, encode(e), encoding.headers(e.session, e.stream, e.first_seq, e.n)) for e in envelopes
        )

    async def records(self, records: Iterable[tuple[str, bytes | None, list[tuple[str, bytes]]]]) -> None:
        """Each (stream, value, headers), whatever is in it."""
        sent = []
        for stream, value, headers in records:
            catalog = stream == CATALOG
            sent.append(
                await self.producer.send(
                    f"{self.prefix}.{'catalog' if catalog else 'events'}",
                    value,
                    key=stream.encode(),
                    partition=0 if catalog else identity.partition_of(stream, self.partitions),
                    headers=headers,
                )
            )
        await asyncio.gather(*sent)


@asynccontextmanager
async def publisher(bootstrap: str, prefix: str, partitions: int) -> AsyncIterator[Publisher]:
    """A publisher to the topics of *prefix*."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=8 << 20)
    await producer.start()
    try:
        yield Publisher(producer, prefix, partitions)
    finally:
        await producer.stop()


class Database:
    """Asks the live read model."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def rows(self, query: str, *args: Any) -> list[tuple[Any, ...]]:
        """The rows of *query*; its tables are those of the first generation."""
        return [tuple(row) for row in await self.connection.fetch(query, *args)]

    async def until(
        self, query: str, done: Callable[[list[tuple[Any, ...]]], bool], seconds: float = 20
    ) -> list[tuple[Any, ...]]:
        """The rows of *query* once they are as *done* wants them."""
        deadline = time.monotonic() + seconds
        while not done(rows := await self.rows(query)):
            assert time.monotonic() < deadline, f"{query} still gives {rows}"
            await asyncio.sleep(0.01)
        return rows

    async def applied(self, records: int, seconds: float = 20) -> None:
        """Wait until so many records in all, dead and duplicate ones included, have been applied."""
        await self.until(
            "SELECT coalesce(sum(records), 0)::bigint FROM ingest_partitions",
            lambda rows: rows[0][0] >= records,
            seconds,
        )


@asynccontextmanager
async def asking(dsn: str) -> AsyncIterator[Database]:
    """The read model of *dsn*."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "runstone_g1"})
    await pool.speak_json(connection)
    try:
        yield Database(connection)
    finally:
        await connection.close()
