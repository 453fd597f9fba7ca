"""Bad records among good ones, and nothing but bad ones (row 6): exactly those are dead letters, none is lost."""

import asyncio
import random
import time

import pytest

from runstone import cli
from runstone.events import encode, encoding, identity, types
from tests.faults.crew import crew
from tests.faults.installation import Installation
from tests.faults.scale import parts, times
from tests.fix_worker import PARTITIONS, working
from tests.publishing import SESSION, Publisher, envelope, points
from tests.read_model_contents import contents

RUNS = [f"{n:032x}" for n in range(6)]
BREAKS_WITHIN = 5
"""Seconds."""

BAD = (
    b"",
    b"{",
    b"\xff\xfe",
    b"null",
    b'{"v":9}',
    b"[" * 10_000,
    b'{"v":1,"session":"x"}',
)


def _records(count: int, chance: random.Random, bad_share: float) -> tuple[list, set[tuple[str, int]]]:
    """Records of RUNS, and which (run, seq) of them are bad."""
    made, bad, seqs = [], set(), dict.fromkeys(RUNS, 0)
    for _ in range(count):
        run = chance.choice(RUNS)
        seq, seqs[run] = seqs[run], seqs[run] + 2
        value = encode(envelope(run, seq, [types.Param(f"p{seq}", "v", 1)], points(("m", seq, 1, 1.0))))
        if chance.random() < bad_share:
            value = chance.choice(BAD)
            bad.add((run, seq))
        made.append((run, value, encoding.headers(SESSION, run, seq, 2)))
    return made, bad


async def _publish(publish: Publisher, made: list) -> None:
    for low in range(0, len(made), 1000):
        await publish.records(made[low : low + 1000])


@parts(5)
@pytest.mark.timeout(1500)
async def test_of_some_bad_records_exactly_those_become_dead_letters(
    kafka, database, prefix, publish, db, monkeypatch, capfd, part
):
    count = times(3000, 100_000)
    made, bad = _records(count, random.Random(part), 0.01)
    async with working(kafka, database, prefix):
        await _publish(publish, made)
        await db.applied(count + 1, seconds=600)
        assert {tuple(row) for row in await db.rows("SELECT stream, first_seq FROM dead_letters")} == bad
        assert await db.rows("SELECT count(*)::int FROM params") == [(count - len(bad),)]
        assert await db.rows("SELECT sum(points)::int FROM latest_metrics") == [(count - len(bad),)]
        assert await db.rows(
            "SELECT sum(records - dead - duplicates)::int, sum(duplicates)::int FROM ingest_partitions"
        ) == [(count + 1 - len(bad), 0)]
        before = await contents(db)
        for name, value in (
            ("RUNSTONE_BOOTSTRAP_SERVERS", kafka),
            ("RUNSTONE_POSTGRES_DSN", database),
            ("RUNSTONE_TOPIC_PREFIX", prefix),
        ):
            monkeypatch.setenv(name, value)
        code = await asyncio.to_thread(cli.main, ["dead-letters", "redrive", "--run", RUNS[0]])
        assert (code, await contents(db)) == (1, before), capfd.readouterr().out


@pytest.mark.timeout(1800)
async def test_of_nothing_but_bad_records_the_breaker_stops_and_no_offset_is_lost(
    kafka, database, prefix, publish, db, tmp_path
):
    count = times(4000, 100_000)
    made, bad = _records(count, random.Random(5), 1.0)
    homes = {identity.partition_of(run, PARTITIONS) for run in RUNS}
    async with crew(Installation(kafka, database, prefix, PARTITIONS), tmp_path) as workers:
        await workers.start()
        await db.applied(1)
        began = time.monotonic()
        publishing = asyncio.create_task(_publish(publish, made))
        await db.until("SELECT kind FROM halts", lambda rows: len(rows) == len(homes))
        took = time.monotonic() - began
        await publishing
        assert took < BREAKS_WITHIN
        (dead,) = (await db.rows("SELECT sum(dead)::int FROM ingest_partitions"))[0]
        assert dead == 1000 * len(homes)
        await db.connection.execute("UPDATE ingest_partitions SET dead_accepted_until = 1000000")
        await db.connection.execute("DELETE FROM halts")
        await db.applied(count + 1, seconds=600)
    assert {tuple(row) for row in await db.rows("SELECT stream, first_seq FROM dead_letters")} == bad
    print(f"all partitions had stopped {took:.1f} s after the first bad record was sent")
