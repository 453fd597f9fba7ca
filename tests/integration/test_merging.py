"""Merging moves points and changes nothing that anybody reads, whatever they are and whoever works beside it."""

import math
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from runstone.events import types
from runstone.events.types import SeriesKey
from runstone_ingest import merge_step, unmerged
from runstone_ingest.redrive import Redrive
from runstone_ingest.verify import snapshot
from runstone_ingest.verify.findings import Report
from runstone_store import digest, pool
from tests.fix_worker import PARTITIONS, working
from tests.publishing import SESSION
from tests.read_model_rows import Rows
from tests.rows_in_memory import Point, pack

Points = list[tuple[int, int, float]]

NOW = 1_764_500_000_000
READ = """SELECT key, model_id, step, time, CASE WHEN value = 'NaN' THEN 'NaN' ELSE float8send(value)::text END
          FROM runstone.metric_points ORDER BY key, model_id, first_offset, place"""


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Any]:
    connection = await pool.connect_writer(dsn, "a test")
    await connection.execute("SET search_path TO runstone_g1")
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def rows(database: str) -> AsyncIterator[Rows]:
    made = await Rows.connect(database)
    yield made
    await made.close()


@pytest.fixture
async def connection(database: str) -> AsyncIterator[Any]:
    async with connected(database) as made:
        yield made


async def merge_all(connection: Any, run_id: str) -> list[merge_step.Step]:
    """Merge until nothing is left to do; the steps that did something."""
    until = await merge_step.newest(connection, run_id)
    steps = []
    while until is not None and (step := await merge_step.merge(connection, run_id, until)).chunks:
        steps.append(step)
    return steps


def even(n: int) -> Points:
    return [(i, NOW + 100 * i, math.sin(i)) for i in range(n)]


def uneven(n: int) -> Points:
    at, time, found = 0, NOW, []
    for _ in range(n):
        at, time = at + random.randrange(5), time + random.randrange(300)
        found.append((at, time, random.choice([random.gauss(0, 1), math.nan, math.inf, -math.inf, -0.0])))
    return found


def backwards(n: int) -> Points:
    return [(n - i, NOW - 7 * i, float(i)) for i in range(n)]


def anything(n: int) -> Points:
    far = [-(2**63), 2**63 - 1, -(2**61), 2**61, 2**31, -(2**31) - 1, 0, 1]
    return [(random.choice(far), random.choice(far), random.gauss(0, 1)) for _ in range(n)]


def just_too_far(n: int) -> Points:
    return [(2**31 + 5 if i == n // 2 else i, 0, 1.0) for i in range(n)]


SHAPES = (even, uneven, backwards, anything, just_too_far)


async def log(
    rows: Rows, run_id: str, key: str, points: Sequence[Any], sizes: Sequence[int], model: str = ""
) -> None:
    """Write *points* as chunks of random *sizes*, and the latest value that counts them."""
    left = list(points)
    while left:
        size = random.choice(sizes)
        await rows.points(run_id, key, left[:size], model)
        left = left[size:]
    await rows.latest(run_id, key, 0.0, model=model)
    await rows.connection.execute(
        "UPDATE latest_metrics SET points = $1 WHERE run_id = $2 AND key = $3 AND model_id = $4",
        len(points), run_id, key, model,
    )  # fmt: skip


async def digested(connection: Any, run_id: str) -> str:
    async with connection.transaction():
        (stream,) = await digest.some(connection, [run_id])
    return stream.digest


async def check(connection: Any) -> list[str]:
    report = Report("runstone_g1")
    await snapshot.check_chunks(connection, report)
    return [finding.what for finding in report.findings]


async def test_merged_points_read_as_before(rows, connection):
    run_id = await rows.run(status="RUNNING")
    await rows.insert("marks", stream=run_id, session=SESSION, high_seq=0)
    for shape in SHAPES:
        for n in (1, 2, 700):
            for model in ("", "m"):
                await log(rows, run_id, f"{shape.__name__}-{n}", shape(n), [1, 2, 3, 50], model)
    before = await connection.fetch(READ), await digested(connection, run_id)
    steps = await merge_all(connection, run_id)
    assert sum(step.points for step in steps) == len(before[0])
    assert await connection.fetchval("SELECT count(*) FROM metric_chunks") == 0
    assert await connection.fetchval("SELECT count(*) FROM merged_chunks") == len(SHAPES) * 3 * 2
    assert await connection.fetchval("SELECT count(*) FROM merged_chunks WHERE wide_steps IS NOT NULL") > 0
    assert await connection.fetchval("SELECT count(*) FROM merged_chunks WHERE narrow_steps IS NOT NULL") > 0
    assert (await connection.fetch(READ), await digested(connection, run_id)) == before
    assert await check(connection) == []


async def test_a_series_that_grows_by_little_has_few_chunks_and_is_copied_a_few_times(rows, connection):
    run_id = await rows.run()
    copied = 0
    for n in range(300):
        await rows.points(run_id, "slow", [(n, NOW + n, float(n))])
        copied += sum(step.points for step in await merge_all(connection, run_id))
    assert await connection.fetchval("SELECT count(*) FROM merged_chunks") <= 8
    assert copied <= 300 * 8
    found = await connection.fetch("SELECT step FROM runstone.metric_points ORDER BY first_offset, place")
    assert [row["step"] for row in found] == list(range(300))


async def test_full_chunks_stay_as_they_are(rows, connection, monkeypatch):
    monkeypatch.setattr(merge_step, "FULL", 100)
    run_id = await rows.run()
    for part in range(25):
        await rows.points(run_id, "x", even(1000)[part * 40 : part * 40 + 40])
    await merge_all(connection, run_id)
    sizes = "SELECT points FROM merged_chunks ORDER BY first_offset"
    assert [row["points"] for row in await connection.fetch(sizes)] == [120] * 8 + [40]
    full = await connection.fetch("SELECT ctid FROM merged_chunks WHERE points = 120 ORDER BY 1")
    await rows.points(run_id, "x", even(40))
    await merge_all(connection, run_id)
    assert [row["points"] for row in await connection.fetch(sizes)] == [120] * 8 + [80]
    assert await connection.fetch("SELECT ctid FROM merged_chunks WHERE points = 120 ORDER BY 1") == full


async def test_what_comes_during_a_pass_waits_for_the_next(rows, connection):
    run_id = await rows.run()
    await rows.points(run_id, "x", even(10))
    until = await merge_step.newest(connection, run_id)
    await rows.points(run_id, "x", even(5))
    assert await merge_step.merge(connection, run_id, until) == (10, 1, 1)
    assert await merge_step.merge(connection, run_id, until) == (0, 0, 0)
    assert await connection.fetchval("SELECT count(*) FROM metric_chunks") == 1


async def test_a_step_takes_as_much_as_fits_and_a_chunk_beyond_that_alone(rows, connection, monkeypatch):
    monkeypatch.setattr(merge_step, "STEP_POINTS", 100)
    run_id = await rows.run()
    for key in ("a", "b", "c"):
        await rows.points(run_id, key, even(60))
    await rows.points(run_id, "d", even(500))
    assert [step.points for step in await merge_all(connection, run_id)] == [60, 60, 60, 500]


async def test_neither_ingest_nor_readers_wait_for_a_step_that_hangs(database, rows, connection, monkeypatch):
    """A step stops before its commit: another writes, one reads on from before; a second merging does nothing."""
    run_id = await rows.run()
    await rows.latest(run_id, "x", 1.0)
    for _ in range(3):
        await rows.points(run_id, "x", even(5))
    async with connected(database) as reader, connected(database) as writer:
        await writer.execute("SET lock_timeout = '100ms'")
        snapshot = reader.transaction(isolation="repeatable_read", readonly=True)
        await snapshot.start()
        before = await reader.fetch(READ)
        outer = connection.transaction(isolation="read_committed")
        await outer.start()
        assert (await merge_step.merge(connection, run_id, 10)).chunks == 3
        await writer.execute(
            """INSERT INTO ingest_partitions (topic, partition) VALUES ('t', 0);
               UPDATE ingest_partitions SET next_offset = 9;
               UPDATE runs SET last_offset = 9; UPDATE latest_metrics SET points = points + 5;
               INSERT INTO metric_chunks (run_id, key, model_id, dataset_name, dataset_digest, first_offset,
                                          steps, times, vals)
               SELECT run_id, key, '', '', '', 9, '{1}', '{2}', '{3}' FROM latest_metrics"""
        )
        assert await merge_step.merge(writer, run_id, 10) == (0, 0, 0)
        assert len(await writer.fetch(READ)) == 16
        await outer.commit()
        assert await reader.fetch(READ) == before
        await snapshot.commit()
        assert [row["step"] for row in await reader.fetch(READ)] == [*range(5)] * 3 + [1]


async def test_a_step_that_is_cut_off_has_not_happened(database, rows):
    run_id = await rows.run()
    for _ in range(3):
        await rows.points(run_id, "x", even(5))
    async with connected(database) as broken:
        await broken.execute("ALTER TABLE merged_chunks ADD CHECK (points < 0) NOT VALID")
        with pytest.raises(asyncpg.CheckViolationError):
            await merge_step.merge(broken, run_id, 10)
        assert await broken.fetchval("SELECT count(*) FROM metric_chunks") == 3


async def test_a_worker_merges_and_a_redrive_makes_the_stream_again(
    kafka, database, prefix, publish, db, monkeypatch
):
    monkeypatch.setattr(unmerged, "QUIET_SECONDS", 0.1)
    run_id = "0a" * 16
    await publish.publish(pack(SESSION, run_id, 0, [types.RunStarted(7, "digits", "first", 1)]))
    async with working(kafka, database, prefix):
        for n in range(20):
            await publish.publish(pack(SESSION, run_id, n + 1, [Point(SeriesKey("loss"), n, n, float(n))]))
            await db.applied(n + 3)
        await db.until("SELECT count(*) FROM metric_chunks", lambda rows: rows == [(0,)])
        expected = await digested(db.connection, run_id)
        redriven = await Redrive(kafka, prefix, PARTITIONS, db.connection).run(run_id)
        assert redriven.records == 21
        assert await digested(db.connection, run_id) == expected
        # the worker finds what the redrive wrote when it takes the partition again
        await publish.publish(pack(SESSION, run_id, 21, [types.RunEnded("FINISHED", 100)]))
        await db.applied(23)
        await db.until("SELECT count(*) FROM metric_chunks", lambda rows: rows == [(0,)])
    assert await db.rows("SELECT points, step FROM runstone.latest_metrics") == [(20, 19)]
    assert await db.rows("SELECT step FROM runstone.metric_points ORDER BY 1") == [(n,) for n in range(20)]
    assert await check(db.connection) == []
