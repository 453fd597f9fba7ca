"""A generation built anew holds the same as the live one, is compared with it, and can take its place."""

import asyncio
import math
import time

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from runstone.events import CATALOG, cut, types
from runstone.events.types import SeriesKey
from runstone_ingest import replay_verify
from runstone_ingest.exceptions import IngestError
from runstone_ingest.replay_offsets import opened
from runstone_ingest.replay_state import wait_caught_up
from runstone_ingest.worker import Worker
from runstone_store import generation_changes, generations, pool
from runstone_store.exceptions import GenerationError, NoSuchGenerationError
from tests.fix_replay import compare, ends, read_as, replaying, until_state
from tests.fix_worker import working
from tests.publishing import SESSION, envelope, points
from tests.rows_in_memory import Point, pack

RUNS = [f"{n:02x}" * 16 for n in range(12)]
LIVE = "runstone_g1"


def _history(run_id: str, n: int) -> list:
    """What a run says, in envelopes: conflicts, gaps, repeats, artifacts, models, an end."""
    said = [
        types.RunStarted(
            n % 3, f"exp-{n % 3}", f"run {n}", 1000 + n, user="ada", context={"host": "h", "n": n}
        ),
        types.Param("lr", "0.1", 1001),
        types.Param("lr", "0.2", 1002),
        types.Tag("kind", "é", 1003),
        types.Artifact("a/b.txt", "file:///x", 3, "0" * 64, "text/plain", 1004),
        types.DatasetInput("d", "1", 1005, "local", "s", tags={"context": "train"}),
    ]
    series = [SeriesKey("loss"), SeriesKey("acc", "m-1", "d", "1")]
    values = [math.nan, -0.0, math.inf, 1 / 3]
    whole = pack(
        SESSION,
        run_id,
        0,
        [*said, *(Point(series[i % 2], i // 2, 2000 + i, values[i % 4]) for i in range(60))],
    )
    parts = [cut(whole, 0, 20), cut(whole, 10, 40), cut(whole, 50, 66), cut(whole, 0, 30)]
    if n % 2:
        parts.append(envelope(run_id, 66, [types.RunEnded("FINISHED", 3000)]))
    return parts


async def _publish(publish, which) -> None:
    await publish.publish(
        *(envelope(CATALOG, n, [types.ExperimentCreated(f"exp-{n}", 5)]) for n in range(3) if 0 in which),
        *(part for n in which for part in _history(RUNS[n], n)),
    )
    await publish.records((RUNS[n], b"no json", []) for n in which)


async def _both(kafka, database, prefix, publish, db) -> int:
    """Publish everything, in two halves, so that the live generation has other batches than a replay."""
    await _publish(publish, range(6))
    await db.applied(30)
    await _publish(publish, range(6, 12))
    whole = sum((await ends(kafka, prefix)).values())
    await db.applied(whole)
    return whole


async def test_a_replay_holds_the_same_and_what_differs_is_named(kafka, database, prefix, publish, db):
    async with working(kafka, database, prefix):
        await _both(kafka, database, prefix, publish, db)
        async with replaying(kafka, database, prefix) as name:
            found = await compare(database, prefix, LIVE, name)
            assert (found.differences, found.unsettled) == ([], [])
            assert {e: count for e, (count, _) in found.digests().items()} == {0: 4, 1: 4, 2: 4}
            tampered = {
                RUNS[0]: ("params", f"UPDATE params SET value = '0.3' WHERE run_id = '{RUNS[0]}'"),
                RUNS[3]: ("tags", f"DELETE FROM tags WHERE run_id = '{RUNS[3]}'"),
                RUNS[5]: ("run", f"UPDATE runs SET status = 'KILLED' WHERE run_id = '{RUNS[5]}'"),
                RUNS[7]: (
                    "points",
                    f"UPDATE metric_chunks SET vals[1] = vals[1] + 1 WHERE run_id = '{RUNS[7]}'",
                ),
                RUNS[8]: ("sessions", f"UPDATE marks SET missing = '{{}}' WHERE stream = '{RUNS[8]}'"),
                CATALOG: ("experiments", "UPDATE experiments SET name = 'x' WHERE name = 'exp-1'"),
            }
            for _table, statement in tampered.values():
                await db.connection.execute(f"SET search_path TO {name}; {statement}")
            await db.connection.execute("SET search_path TO runstone_g1")
            found = await compare(database, prefix, LIVE, name)
            assert {one.stream: one.tables for one in found.differences} == {
                stream: (table,) for stream, (table, _) in tampered.items()
            }


async def test_the_digest_does_not_see_how_points_are_cut_nor_when_they_came(
    kafka, database, prefix, publish, db
):
    async with working(kafka, database, prefix):
        await _both(kafka, database, prefix, publish, db)
    before = await compare(database, prefix, LIVE, LIVE)
    await db.connection.execute(
        """UPDATE marks SET last_time = 1; UPDATE ingest_partitions SET epoch = epoch + 9, owner = 'x';
           DELETE FROM verdicts;
           WITH old AS (DELETE FROM metric_chunks RETURNING *)
           INSERT INTO metric_chunks
           SELECT run_id, key, model_id, dataset_name, dataset_digest, min(first_offset),
                  array_agg(step ORDER BY first_offset, place), array_agg(time ORDER BY first_offset, place),
                  array_agg(val ORDER BY first_offset, place)
           FROM old CROSS JOIN LATERAL
                unnest(steps, times, vals) WITH ORDINALITY AS p (step, time, val, place)
           GROUP BY 1, 2, 3, 4, 5"""
    )
    assert (await compare(database, prefix, LIVE, LIVE)).digests() == before.digests()


async def test_a_generation_until_an_offset_is_a_picture_of_the_past(kafka, database, prefix, publish, db):
    async with working(kafka, database, prefix):
        await _publish(publish, range(6))
        then = await ends(kafka, prefix)
        await db.applied(sum(then.values()))
        expected = await db.rows("SELECT stream, session, high_seq, missing::text FROM marks ORDER BY 1, 2")
        await _publish(publish, range(6, 12))
        async with replaying(kafka, database, prefix, until=then) as name:
            marks = "SELECT stream, session, high_seq, missing::text FROM marks ORDER BY 1, 2"
            assert await read_as(db, name, marks) == expected
            reached = await generation_changes.offsets(db.connection, name)
            assert reached == {(tp.topic, tp.partition): end for tp, end in then.items()}
            with pytest.raises(GenerationError, match="never ingests more"):
                await generation_changes.flip(db.connection, name)


async def test_a_rate_holds_a_replay_back_until_it_has_caught_up(kafka, database, prefix, publish, db):
    await publish.publish(*(envelope(RUNS[0], n, [types.Tag("a", str(n), 1)]) for n in range(60)))
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with replaying(kafka, database, prefix, rate=40) as name:
        assert 1.0 < loop.time() - began < 15
        began = loop.time()
        await asyncio.sleep(2.1)  # the worker looks for its generation's state every two seconds
        await publish.publish(*(envelope(RUNS[1], n, [types.Tag("a", str(n), 1)]) for n in range(400)))
        deadline = loop.time() + 8
        while await read_as(db, name, f"SELECT high_seq FROM marks WHERE stream = '{RUNS[1]}'") != [(399,)]:
            assert loop.time() < deadline
            await asyncio.sleep(0.05)


async def test_a_swap_moves_pointer_and_views_at_once_for_connections_that_stay(
    kafka, database, prefix, publish, db
):
    readers = await pool.open_readers(database, "test", 2)
    async with working(kafka, database, prefix), readers.acquire() as reader:
        await _publish(publish, range(3))
        whole = sum((await ends(kafka, prefix)).values())
        await db.applied(whole)
        asked = await reader.prepare("SELECT name FROM runstone.runs WHERE run_id = $1")
        assert await asked.fetchval(RUNS[0]) == "run 0"
        async with replaying(kafka, database, prefix) as name:
            await db.connection.execute(f"UPDATE {name}.runs SET name = 'anew'")
            assert await generation_changes.flip(db.connection, name) == LIVE
            assert await asked.fetchval(RUNS[0]) == "anew"
            assert await generations.live(reader) == name
            states = {one.name: one.state for one in await generations.listed(db.connection)}
            assert states == {LIVE: "retired", name: "live"}
            with pytest.raises(GenerationError, match="is live"):
                await generation_changes.drop(db.connection, name)
            assert await generation_changes.last_retired(db.connection) == LIVE
            assert await generation_changes.flip(db.connection, LIVE) == name
            assert await asked.fetchval(RUNS[0]) == "run 0"
            await generation_changes.drop(db.connection, name)
            with pytest.raises(NoSuchGenerationError):
                await generations.find(db.connection, name)
    await readers.close()


async def test_a_swap_waits_for_a_reader_of_the_views_and_never_ends_it(kafka, database, prefix, publish, db):
    await publish.publish(envelope(RUNS[0], 0, [types.Tag("a", "1", 1)]))
    async with working(kafka, database, prefix), replaying(kafka, database, prefix) as name:
        await db.applied(2)
        reader = await asyncpg.connect(database)
        try:
            async with reader.transaction():
                await reader.fetch("SELECT * FROM runstone.tags")
                flipping = asyncio.create_task(generation_changes.flip(db.connection, name))
                await asyncio.wait([flipping], timeout=1.5)
                assert not flipping.done()
                # a statement on a view that the flip may hold: the flip gives way, not the reader
                assert len(await reader.fetch("SELECT * FROM runstone.runs")) == 1
            assert await flipping == LIVE
        finally:
            await reader.close()


async def test_what_is_behind_is_not_swapped_in(kafka, database, prefix, publish, db, monkeypatch):
    monkeypatch.setattr(generation_changes, "STANDSTILL", 0.1)
    async with working(kafka, database, prefix):
        async with replaying(kafka, database, prefix) as name:
            pass  # from here on nobody carries it on
        before = sum((await ends(kafka, prefix)).values())
        await publish.publish(envelope(RUNS[0], 0, [types.Tag("a", "1", 1)]))
        await db.applied(before + 1)
        with pytest.raises(GenerationError, match="do its workers run"):
            await generation_changes.flip(db.connection, name, 0.5)
        assert await generations.live(db.connection) == LIVE
        building, _ = await generation_changes.begin(db.connection, None, None, "")
        with pytest.raises(GenerationError, match="has not caught up"):
            await generation_changes.flip(db.connection, building)


async def test_generations_that_both_ingest_are_compared_at_equal_offsets(
    kafka, database, prefix, publish, db, monkeypatch
):
    monkeypatch.setattr(replay_verify, "AGAIN_SECONDS", 0.02)
    async with working(kafka, database, prefix), replaying(kafka, database, prefix) as name:
        stop = asyncio.Event()

        async def keep_writing() -> None:
            seq = 0
            while not stop.is_set():
                await publish.publish(
                    *(envelope(run_id, seq, [], points(("m", seq, seq, 0.5))) for run_id in RUNS)
                )
                seq += 1

        writing = asyncio.create_task(keep_writing())
        try:
            for _turn in range(5):
                assert (await compare(database, prefix, LIVE, name, settle=0.5)).differences == []
        finally:
            stop.set()
            await writing
        found = await compare(database, prefix, LIVE, name)
        assert (found.differences, found.unsettled) == ([], [])
        await until_state(db.connection, name, "ready")


async def test_a_replay_of_a_topic_that_has_lost_its_beginning_says_so_and_ends(
    kafka, database, prefix, publish, db
):
    await _publish(publish, range(3))
    connection = await pool.connect_writer(database, "test")
    whole = await ends(kafka, prefix)
    (place, end) = max(whole.items(), key=lambda item: item[1])
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.delete_records({place: RecordsToDelete(before_offset=end - 1)})
    await admin.close()
    name, _ = await generation_changes.begin(connection, None, None, "")
    worker = Worker(kafka, database, prefix, None, name)
    working_on = asyncio.create_task(worker.run())
    try:
        async with opened(kafka, prefix) as ledger, asyncio.timeout(30):
            with pytest.raises(IngestError, match=f"{place.partition} is halted"):
                await wait_caught_up(connection, ledger, name, lambda _: None, lambda: True)
    finally:
        worker.stop()
        await working_on
        connection.terminate()


async def test_an_end_by_time_is_the_first_record_that_came_later(kafka, prefix, publish):
    await _publish(publish, range(2))
    before = await ends(kafka, prefix)
    moment = time.time_ns() // 1_000_000 + 2
    await asyncio.sleep(0.005)  # until that moment of the one clock that the broker has as well
    await _publish(publish, range(2, 4))
    async with opened(kafka, prefix) as ledger:
        assert await ledger.ends_at(moment) == before
        assert set((await ledger.ends_at(0)).values()) == {0}
        assert await ledger.ends_at(moment + 3_600_000) == await ends(kafka, prefix)
