"""Writers that change the same few rows as fast as they can, while partitions change hands: no dead-lock.

Row 15 of the fault table. Postgres itself counts the rows that were written and the dead-locks.
"""

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import DEVNULL
from pathlib import Path

import pytest

from runstone.events import PointTable, encode, encoding, identity, types
from tests.faults.installation import Installation, journals
from tests.faults.scale import parts, times
from tests.publishing import Database, Publisher, envelope, publisher

KEYS = 200
WRITERS = times(3, 8)
AHEAD = 40
"""Records that ingest may be behind: more would make a batch, which changes a row once."""

UPSERTS = (
    "SELECT sum(n_tup_ins + n_tup_upd)::bigint FROM pg_stat_user_tables"
    " WHERE relname IN ('latest_metrics', 'tags')"
)
DEADLOCKS = "SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()"


def hot(run: str, n: int) -> tuple[str, bytes, list[tuple[str, bytes]]]:
    """The nth record of a run: another value for each of its tags and series."""
    table = PointTable()
    order = random.Random(n).sample(range(KEYS), KEYS)
    table.keys = tuple(types.SeriesKey(f"m{key}") for key in order)
    table.k.extend(range(KEYS))
    table.s.extend([n] * KEYS)
    table.t.extend([n] * KEYS)
    table.v.extend([float(n)] * KEYS)
    made = envelope(run, 2 * KEYS * n, [types.Tag(f"t{key}", str(n), n) for key in order], table)
    return run, encode(made), encoding.headers(made.session, run, made.first_seq, made.n)


async def redrives(place: Installation, runs: list[str]) -> None:
    """Make streams again, one after the other, until it is cancelled."""
    while True:
        for run in runs:
            code, said = await place.command("dead-letters", "redrive", "--run", run)
            assert code in {0, 1}, said


async def deaths(parent: int, seed: int) -> None:
    """Every few seconds one of the parent's processes dies, and its partitions change hands."""
    chance = random.Random(seed)
    while True:
        await asyncio.sleep(times(2, 10))
        text = await asyncio.to_thread(Path(f"/proc/{parent}/task/{parent}/children").read_text)
        if children := text.split():
            os.kill(int(chance.choice(children)), signal.SIGKILL)


async def keep_hot(db: Database, publish: Publisher, runs: list[str], wanted: int) -> int:
    """Publish until so many rows were written; how many records of each run that took."""
    n = 0
    applied = "SELECT coalesce(sum(records), 0)::int FROM ingest_partitions"
    while (await db.rows(UPSERTS))[0][0] < wanted:
        await publish.records(hot(run, n) for run in runs)
        n += 1
        await db.until(applied, lambda rows: rows[0][0] + AHEAD > n * len(runs), 60)  # noqa: B023 - at once
    return n


@parts(10)
@pytest.mark.timeout(1500)
async def test_writers_of_hot_rows_never_wait_for_each_other_in_a_circle(
    kafka, database, prefix, db, tmp_path, part
):
    place = Installation(kafka, database, prefix, 12)
    log = tmp_path / "workers.log"
    async with journals(place) as said, publisher(kafka, prefix, 12) as publish:
        runs = said.runs
        assert {identity.partition_of(run, 12) for run in runs} == set(range(12))
        with log.open("wb") as out:
            workers = await asyncio.create_subprocess_exec(
                *(Path(sys.executable).with_name("runstone"), "worker", "--workers", str(WRITERS)),
                stdout=DEVNULL,
                stderr=out,
                env=place.environment(),
            )
        around = [asyncio.create_task(redrives(place, runs)), asyncio.create_task(deaths(workers.pid, part))]
        try:
            n = await keep_hot(db, publish, runs, times(20_000, 500_000))
            await db.applied(1 + n * len(runs), seconds=120)
        finally:
            for task in around:
                task.cancel()
            ended = await asyncio.gather(*around, return_exceptions=True)
            workers.terminate()
            await workers.wait()
    assert [type(one) for one in ended] == [asyncio.CancelledError] * 2, ended
    assert await db.rows(DEADLOCKS) == [(0,)]
    assert "deadlock" not in log.read_text()
    assert await db.rows("SELECT DISTINCT value FROM tags") == [(str(n - 1),)]
    assert await db.rows("SELECT DISTINCT points::int FROM latest_metrics") == [(n,)]
    code, told = await place.command("verify")
    assert code == 0, told
    ((upserts,),) = await db.rows(UPSERTS)
    print(f"{upserts} rows written by {n * len(runs)} records, {2 * KEYS * n * len(runs)} events")
