"""Workers that die, or stop and come back as zombies, at named points: every record counts exactly once.

Rows 1 and 2 of the fault table. The check reads the database only, and compares it with what was published.
"""

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from runstone.events import types
from tests.faults.scale import times
from tests.faults.worker_at_a_point import POINTS
from tests.fix_worker import working
from tests.publishing import Database, Publisher, envelope, points

RUNS = [f"{n:032x}" for n in range(6)]


class History:
    """What was published: a param, a tag and some points of each run in each round."""

    def __init__(self, publish: Publisher, db: Database) -> None:
        self._publish = publish
        self._db = db
        self.rounds = 0

    @property
    def records(self) -> int:
        return 1 + self.rounds * len(RUNS)

    async def go_on(self) -> None:
        n = self.rounds
        events = [types.Tag("round", str(n), n), types.Param(f"p{n}", "v", n)]
        table = points(*((f"m{k}", n, n, float(k)) for k in range(3)))
        await self._publish.publish(*(envelope(run, 5 * n, events, table) for run in RUNS))
        self.rounds += 1

    async def check(self) -> None:
        """Everything is there, and nothing twice."""
        await self._db.applied(self.records, seconds=60)
        n = self.rounds
        assert await self._db.rows(
            "SELECT sum(records)::int, sum(duplicates)::int, sum(dead)::int FROM ingest_partitions"
        ) == [(self.records, 0, 0)]
        assert await self._db.rows(
            "SELECT DISTINCT high_seq, missing::text FROM marks WHERE stream <> 'catalog'"
        ) == [(5 * n - 1, "{}")]
        assert await self._db.rows(
            "SELECT count(*)::int, count(DISTINCT (run_id, key, step))::int FROM runstone.metric_points"
        ) == [(3 * n * len(RUNS), 3 * n * len(RUNS))]
        assert await self._db.rows("SELECT DISTINCT points FROM latest_metrics") == [(n,)]
        assert await self._db.rows("SELECT count(*)::int FROM params") == [(n * len(RUNS),)]
        assert await self._db.rows("SELECT DISTINCT value FROM tags") == [(str(n - 1),)]


@asynccontextmanager
async def worker(
    kafka: str, database: str, prefix: str, point: str, nth: int, number: signal.Signals
) -> AsyncIterator[Process]:
    """A worker that gets *number* at *point*; gone after the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.worker_at_a_point", point, str(nth), number.name),
        stdout=DEVNULL,
        stderr=DEVNULL,
        env=os.environ
        | {
            "RUNSTONE_BOOTSTRAP_SERVERS": kafka,
            "RUNSTONE_POSTGRES_DSN": database,
            "RUNSTONE_TOPIC_PREFIX": prefix,
        },
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.timeout(3600)
async def test_a_worker_that_is_killed_at_a_named_point_loses_and_repeats_nothing(
    kafka, database, prefix, publish, db
):
    history = History(publish, db)
    chance = random.Random(6)
    names = (
        [*POINTS]
        if times(0, 1)
        else ["inside COPY", "before COMMIT", "after COMMIT", "before a merge's COMMIT"]
    )
    for n in range(times(4, 500)):
        point = names[n % len(names)]
        nth = 1 if point == "taken over" else chance.randint(1, 3)
        async with worker(kafka, database, prefix, point, nth, signal.SIGKILL) as process:
            async with asyncio.timeout(60):
                while process.returncode is None:
                    await history.go_on()
                    await asyncio.sleep(0.02)
        assert process.returncode == -signal.SIGKILL, point
    async with working(kafka, database, prefix):
        await history.check()


async def _stopped(process: Process) -> bool:
    def state() -> str:
        with open(f"/proc/{process.pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0]

    return await asyncio.to_thread(state) == "T"


@pytest.mark.timeout(7200)
async def test_a_zombie_that_stopped_at_a_named_point_commits_nothing_stale(
    kafka, database, prefix, publish, db
):
    history = History(publish, db)
    names = [*POINTS] if times(0, 1) else ["before BEGIN"]
    for n in range(times(1, 200)):
        async with worker(kafka, database, prefix, names[n % len(names)], 2, signal.SIGSTOP) as zombie:
            async with asyncio.timeout(60):
                while not await _stopped(zombie):
                    await history.go_on()
                    await asyncio.sleep(0.02)
            async with working(kafka, database, prefix):
                await history.go_on()
                await history.check()
                zombie.send_signal(signal.SIGCONT)
                await db.until(  # what it held was written or refused by then
                    f"SELECT 1 FROM ingest_partitions WHERE owner LIKE '%:{zombie.pid}:%'", bool, seconds=60
                )
                await history.go_on()
                await history.check()
