"""`runstone verify` finds all well where it is, and what was damaged where it is not."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from runstone.events import CATALOG, cut, encoding, identity, types
from runstone.events.types import SeriesKey
from runstone_ingest.verify import Report, verify
from runstone_store import pool
from tests.fix_worker import PARTITIONS, working
from tests.publishing import SESSION, Publisher, envelope, points
from tests.rows_in_memory import Point, pack

RUN, OPEN_RUN, SENDER = "0a" * 16, "0b" * 16, "5e" * 16
DIGITS = identity.experiment_id("digits")


async def a_history(publish: Publisher) -> int:
    """Publish two runs with all that happens to runs; how many records it made."""
    started = types.RunStarted(DIGITS, "digits", "first", 1000)
    long = pack(SESSION, RUN, 3, [Point(SeriesKey("loss"), n, n, 1 / (n + 1)) for n in range(40)])
    records = [
        envelope(
            CATALOG, 0, [types.ExperimentCreated("digits", 5), types.ExperimentTag(DIGITS, "k", "v", 6)]
        ),
        envelope(RUN, 0, [started, types.Param("lr", "0.1", 1), types.Tag("kind", "test", 2)]),
        cut(long, 3, 20),
        cut(long, 3, 20),
        cut(long, 15, 43),
        envelope(RUN, 43, [types.Artifact("a", "file:///a", 1, "0" * 64, "text/plain", 3)]),
        envelope(RUN, 44, [types.RunEnded("FINISHED", 2000)]),
        envelope(RUN, 0, [types.SessionEnded(SESSION, "FAILED", 2001)], session=SENDER),
        envelope(OPEN_RUN, 0, [started], points(("loss", 0, 5, 0.5))),
    ]
    await publish.publish(*records)
    await publish.records([(OPEN_RUN, b"{not json", encoding.headers(SESSION, OPEN_RUN, 2, 3))])
    return 1 + len(records) + 1


@asynccontextmanager
async def checking(database: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database, server_settings={"search_path": "runstone_g1"})
    await pool.speak_json(connection)
    try:
        yield connection
    finally:
        await connection.close()


def told(report: Report) -> list[tuple[str, str]]:
    return [(finding.kind, f"{finding.where}: {finding.what}") for finding in report.findings]


async def test_the_command_says_that_all_is_well_and_what_there_is(kafka, database, prefix, publish, db):
    async with working(kafka, database, prefix):
        await db.applied(await a_history(publish))
    environment = os.environ | {
        "RUNSTONE_BOOTSTRAP_SERVERS": kafka,
        "RUNSTONE_POSTGRES_DSN": database,
        "RUNSTONE_TOPIC_PREFIX": prefix,
    }
    environment.pop("RUNSTONE_DATA", None)
    said = []
    for arguments in ((), ("--json",), ("--quick",)):
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("runstone"),
            "verify",
            *arguments,
            stdout=PIPE,
            stderr=PIPE,
            env=environment,
        )
        async with asyncio.timeout(30):
            out, err = await process.communicate()
        assert process.returncode == 0, (out, err)
        said.append(out.decode())
    assert said[0].endswith("runstone verify: all is well\n")
    assert "2 streams with 41 points were made again by the plain model: 2 the same" in said[0]
    found = json.loads(said[1])
    assert found["well"]
    assert found["scanned"] == 11
    counts = [
        sum(p[name] for p in found["partitions"]) for name in ("records", "applied", "duplicates", "dead")
    ]
    assert counts == [11, 9, 1, 1]
    assert {finding["kind"] for finding in found["findings"]} == {"noted"}
    assert [len(one["digest"]) for one in found["sample"]] == [64, 64]
    assert "were not read" in said[2]


LATE_COPY = """INSERT INTO merged_chunks (run_id, key, model_id, dataset_name, dataset_digest, first_offset, last_offset,
    points, first_step, step_stride, narrow_steps, first_time, time_stride, narrow_times, vals)
    SELECT run_id, key, model_id, dataset_name, dataset_digest, first_offset - 1, first_offset, 1, 0, 0, '{0}', 0, 0, '{0}', '{0}'
    FROM metric_chunks WHERE run_id = $run"""
"""A merged chunk beside one that went into it."""

DAMAGES = {
    "DELETE FROM metric_chunks WHERE ctid = (SELECT min(ctid) FROM metric_chunks)": "its chunks hold",
    "INSERT INTO metric_chunks SELECT * FROM metric_chunks WHERE run_id = $run": "so that their order is not known",
    LATE_COPY: "so that their order is not known",
    "UPDATE metric_chunks SET vals[1] = 7 WHERE run_id = $run": "metric_points",
    "UPDATE metric_chunks SET steps = array_reverse(steps) WHERE run_id = $run AND cardinality(steps) > 5": "metric_points",
    "UPDATE latest_metrics SET value = 7 WHERE run_id = $run": "ranked by another value",
    "DELETE FROM params": "params['0a0a0a",
    "UPDATE tags SET value = 'other'": "tags['0a0a0a",
    "UPDATE runs SET status = 'FAILED' WHERE run_id = $run": "status: expected 'FINISHED', found 'FAILED'",
    "DELETE FROM runs WHERE run_id = $run": "runs has none",
    "DELETE FROM experiment_tags": "experiment_tags",
    "UPDATE marks SET high_seq = high_seq + 1 WHERE stream = $run": "the topic up to",
    "UPDATE marks SET missing = '{[3,5)}' WHERE stream = $run": "are not applied: seqs 3 to 4",
    "DELETE FROM dead_letters": "0 dead letters are kept",
    "UPDATE ingest_partitions SET duplicates = duplicates + 1 WHERE records > duplicates + dead": "the topic has 0",
    "UPDATE ingest_partitions SET last_hash = '\\x00'": "is not the one that was applied",
    "INSERT INTO halts SELECT topic, partition, 'lost', 'it is gone', '1' FROM ingest_partitions": "it halts: it is gone",
    "UPDATE ingest_partitions SET next_offset = 1000": "it has lost records, or it was made again",
}


async def test_whatever_is_damaged_is_found_and_named(kafka, database, prefix, publish, db):
    async with working(kafka, database, prefix):
        await db.applied(await a_history(publish))
    async with checking(database) as connection:
        for damage, words in DAMAGES.items():
            transaction = connection.transaction(isolation="repeatable_read")
            await transaction.start()
            try:
                await connection.execute(damage.replace("$run", f"'{RUN}'"))
                report = await verify(connection, kafka, prefix, "runstone_g1")
            finally:
                await transaction.rollback()
            assert not report.well, damage
            assert any(words in line for kind, line in told(report) if kind != "noted"), (
                damage,
                told(report),
            )
        assert (await verify(connection, kafka, prefix, "runstone_g1")).well


async def test_a_gap_is_a_loss_when_its_session_has_ended_and_was_not_declared(
    kafka, database, prefix, publish, db
):
    ended = types.SessionEnded(SESSION, "FAILED", 2001)
    async with working(kafka, database, prefix), checking(database) as connection:
        await publish.publish(
            envelope(RUN, 0, [types.Tag("a", "v", 1)]), envelope(RUN, 5, [types.Tag("b", "v", 1)])
        )
        await db.applied(3)
        report = await verify(connection, kafka, prefix, "runstone_g1")
        assert report.well
        assert "seqs 1 to 4; it has not ended, and they may come" in told(report)[0][1]

        await publish.publish(envelope(RUN, 0, [ended], session=SENDER))
        await db.applied(4)
        report = await verify(connection, kafka, prefix, "runstone_g1")
        assert [kind for kind, _line in told(report)] == ["lost"]

        declared = types.RangeDeclared(SESSION, 1, 4, "dropped", 2002, "the spool was full")
        await publish.publish(envelope(RUN, 1, [declared], session=SENDER))
        await db.applied(5)
        report = await verify(connection, kafka, prefix, "runstone_g1")
        assert report.well
        assert told(report) == []


async def test_a_read_model_that_is_behind_is_compared_as_far_as_it_is(kafka, database, prefix, publish, db):
    async with working(kafka, database, prefix):
        await db.applied(await a_history(publish))
    await publish.publish(envelope(OPEN_RUN, 1, [types.Tag("later", "v", 1)]))
    async with checking(database) as connection:
        report = await verify(connection, kafka, prefix, "runstone_g1", streams=[OPEN_RUN, "0c" * 16])
    assert ("noted", "ingest: 1 offsets of the topics are not applied yet") in told(report)
    assert [(one.stream, one.same) for one in report.sample] == [(OPEN_RUN, True)]
    home = identity.partition_of(OPEN_RUN, PARTITIONS)
    assert [p.partition for p in report.partitions if p.behind] == [home]
    assert [line for kind, line in told(report) if kind == "wrong"] == [
        f"stream {'0c' * 16}: nothing of it was applied; is it another installation's?"
    ]
