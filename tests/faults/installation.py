"""One installation under faults: what its clients have said, the workers it has, and whether all of it is there.

Clients are journals that publish as a sender does, through its `Publisher`: a round is a record of each run, and
is over when Kafka has all of them. The check knows the journals, the topics and the database, and ends with the
`runstone verify` that users have.
"""

import asyncio
import itertools
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import TopicPartition

from runstone.events import CATALOG, PointTable, encode, encoding, identity, types
from runstone.sender.publisher import Publisher
from runstone_ingest import topic_reading, topics
from tests.publishing import asking, envelope

SERIES = 2


@dataclass(frozen=True)
class Installation:
    """Attributes:
    kafka, dsn: the services, as this process and `runstone verify` reach them.
    """

    kafka: str
    dsn: str
    prefix: str
    partitions: int

    def environment(self, **other: str) -> dict[str, str]:
        """What a command needs to work on it; *other* variables on top."""
        return (
            os.environ
            | {
                "RUNSTONE_BOOTSTRAP_SERVERS": self.kafka,
                "RUNSTONE_POSTGRES_DSN": self.dsn,
                "RUNSTONE_TOPIC_PREFIX": self.prefix,
            }
            | other
        )

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output of `runstone` with *arguments*."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "runstone.cli", *arguments),
            env=self.environment(),
            stdout=PIPE,
            stderr=STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()


class Journals:
    """The runs of an installation, one in each partition, and what was said of them so far.

    Attributes:
        runs: their ids. rounds: so many records of each run were acknowledged, of `events` events in all.
    """

    def __init__(self, of: Installation, publisher: Publisher, points: int) -> None:
        """*points*: how many each run logs in a round, to `SERIES` series in turn."""
        self._of = of
        self._publisher = publisher
        self._points = points
        homes: dict[int, str] = {}
        for number in itertools.count():
            run = f"{number:032x}"
            homes.setdefault(identity.partition_of(run, of.partitions), run)
            if len(homes) == of.partitions:
                break
        self.runs = sorted(homes.values())
        self.rounds = 0

    @property
    def events(self) -> int:
        return self.rounds * len(self.runs) * (self._points + 2)

    async def go_on(self) -> None:
        """Say the next round; returns when Kafka has it."""
        n, size = self.rounds, self._points
        first = n * size
        table = PointTable()
        table.keys = tuple(types.SeriesKey(f"m{series}") for series in range(SERIES))
        table.k.extend(at % SERIES for at in range(first, first + size))
        table.s.extend(range(first, first + size))
        table.t.extend(range(first, first + size))
        table.v.extend(float(at) for at in range(first, first + size))
        said = [types.Tag("round", str(n), n), types.Param(f"p{n}", "v", n)]
        records = [envelope(run, n * (size + 2), said, table, self._session(run)) for run in self.runs]
        await asyncio.gather(
            *(
                self._publisher.submit(
                    f"{self._of.prefix}.events",
                    identity.partition_of(one.stream, self._of.partitions),
                    one.stream.encode(),
                    encode(one),
                    encoding.headers(one.session, one.stream, one.first_seq, one.n),
                )
                for one in records
            )
        )
        self.rounds += 1

    @asynccontextmanager
    async def going_on(self, pause: float) -> AsyncIterator[None]:
        """Rounds one after the other, with *pause* seconds between them, for as long as the block lasts."""
        ending = asyncio.Event()

        async def go() -> None:
            while not ending.is_set():
                await self.go_on()
                await asyncio.sleep(pause)

        task = asyncio.create_task(go())
        try:
            yield
        finally:
            ending.set()
            await task

    def _session(self, run: str) -> str:
        return run[::-1]

    async def check(self, seconds: float = 60, resent: bool = False) -> None:
        """Everything that was said is there once, and nothing else.

        *seconds*: what ingest may take to catch up. *resent*: records may be in the topic twice.
        """
        held = await self.caught_up(seconds)
        async with asking(self._of.dsn) as db:
            ((records, duplicates, dead),) = await db.rows(
                "SELECT sum(records)::int, sum(duplicates)::int, sum(dead)::int FROM ingest_partitions"
            )
            assert (records, dead) == (held, 0)
            assert duplicates == held - 1 - self.rounds * len(self.runs)
            assert resent or not duplicates
            n, points = self.rounds, self.rounds * self._points
            assert await db.rows(
                "SELECT stream, session, high_seq, missing::text FROM marks WHERE stream <> $1 ORDER BY stream",
                CATALOG,
            ) == [(run, self._session(run), n * (self._points + 2) - 1, "{}") for run in self.runs]
            series = [len(range(at, points, SERIES)) for at in range(SERIES)]
            assert await db.rows(
                "SELECT run_id, key, count(*)::int, count(DISTINCT step)::int, min(step)::int, max(step)::int,"
                " bool_and(value = step AND time = step AND 'm' || step % $1 = key)"
                " FROM runstone.metric_points GROUP BY 1, 2 ORDER BY 1, 2",
                SERIES,
            ) == [
                (run, f"m{at}", series[at], series[at], at, at + SERIES * (series[at] - 1), True)
                for run in self.runs
                for at in range(SERIES)
            ]
            assert await db.rows(
                "SELECT run_id, key, points::int, step::int FROM latest_metrics ORDER BY 1, 2"
            ) == [
                (run, f"m{at}", series[at], at + SERIES * (series[at] - 1))
                for run in self.runs
                for at in range(SERIES)
            ]
            assert await db.rows("SELECT run_id, count(*)::int FROM params GROUP BY 1 ORDER BY 1") == [
                (run, n) for run in self.runs
            ]
            assert await db.rows("SELECT run_id, key, value FROM tags ORDER BY 1") == [
                (run, "round", str(n - 1)) for run in self.runs
            ]
        code, said = await self._of.command("verify")
        assert code == 0, said

    async def caught_up(self, seconds: float = 60, of: Installation | None = None) -> int:
        """Wait until all that the topics hold is applied; how many records that is.

        *of*: another read model of the same topics.
        """
        places = topic_reading.places(self._of.prefix, self._of.partitions)
        spans = await topic_reading.spans(self._of.kafka, places)

        def reached(rows: list[tuple[str, int, int]]) -> bool:
            applied = {TopicPartition(topic, partition): offset for topic, partition, offset in rows}
            return all(applied.get(tp, 0) >= end for tp, (_low, end) in spans.items())

        async with asking((of or self._of).dsn) as db:
            await db.until("SELECT topic, partition, next_offset FROM ingest_partitions", reached, seconds)
        return sum(end for _low, end in spans.values())


@asynccontextmanager
async def journals(of: Installation, points: int = 48, kafka: str = "") -> AsyncIterator[Journals]:
    """Journals of an installation whose topics are made here. *kafka*: by which address they publish."""
    await topics.create(of.kafka, of.prefix, of.partitions)
    publisher = Publisher(kafka or of.kafka, {})
    try:
        yield Journals(of, publisher, points)
    finally:
        await publisher.close()
