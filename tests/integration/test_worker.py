"""The worker carries hand-made records from a real Kafka into a real Postgres, each exactly once."""

import math
import random

import asyncpg
import pytest

from runstone.events import CATALOG, cut, encode, encoding, identity, types
from runstone.events.types import SeriesKey
from runstone_ingest import writer
from runstone_ingest.exceptions import NotOurPartitionError, RefusedRowsError
from runstone_ingest.projector.rows import Changes, Loaded, Tally
from runstone_store import pool
from tests.fix_worker import PARTITIONS, working
from tests.publishing import SESSION, asking, envelope, points
from tests.rows_in_memory import Point, Tables, admitted, pack

RUN = "0a" * 16
OTHER_RUN = "0b" * 16
SENDER = "5e" * 16


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


async def test_repeats_overlaps_and_gaps_that_are_filled_later_count_once(
    kafka, database, prefix, publish, db
):
    whole = pack(SESSION, RUN, 0, [Point(SeriesKey("m"), n, n, float(n)) for n in range(30)])
    async with working(kafka, database, prefix):
        await publish.publish(cut(whole, 0, 5), cut(whole, 0, 5), cut(whole, 3, 9), cut(whole, 20, 30))
        await db.applied(5)
        assert await db.rows("SELECT high_seq, missing::text FROM marks WHERE stream = $1", RUN) == [
            (29, "{[9,20)}")
        ]
        await publish.publish(cut(whole, 7, 22), whole)
        await db.applied(7)
    assert await db.rows("SELECT step, value FROM runstone.metric_points ORDER BY step") == [
        (n, float(n)) for n in range(30)
    ]
    assert await db.rows("SELECT points FROM latest_metrics") == [(30,)]
    assert await db.rows("SELECT missing::text FROM marks WHERE stream = $1", RUN) == [("{}",)]
    assert await db.rows("SELECT sum(duplicates)::int, sum(dead)::int FROM ingest_partitions") == [(2, 0)]


async def test_a_bad_record_becomes_a_dead_letter_and_the_good_ones_around_it_go_in(
    kafka, database, prefix, publish, db
):
    good = [envelope(RUN, 0, [started()]), envelope(RUN, 3, [types.Tag("k", "v", 1)])]
    async with working(kafka, database, prefix):
        await publish.publish(good[0])
        await publish.records([(RUN, b"{not json", encoding.headers(SESSION, RUN, 1, 2))])
        await publish.publish(good[1])
        await publish.records([(RUN, encode(good[1]), [("traceparent", b"00")])])
        await db.applied(5)
    letters = await db.rows(
        'SELECT "offset", reason, stream, first_seq, n, value FROM dead_letters ORDER BY "offset"'
    )
    assert letters[0][0] == 1
    assert "not JSON" in letters[0][1]
    assert letters[0][2:] == (RUN, 1, 2, b"{not json")
    assert "headers: v, session, stream, first_seq, n missing" in letters[1][1]
    assert letters[1][2:5] == (None, None, None)
    assert await db.rows("SELECT key FROM tags") == [("k",)]
    assert await db.rows("SELECT missing::text FROM marks WHERE stream = $1", RUN) == [("{[1,3)}",)]
    assert await db.rows("SELECT sum(dead)::int FROM ingest_partitions") == [(2,)]


async def test_a_value_that_postgres_refuses_costs_its_record_only(kafka, database, prefix, publish, db):
    await db.connection.execute("ALTER TABLE tags ADD CHECK (value <> 'poison')")
    values = ["a", "b", "poison", "c", "poison", "d"]
    await publish.publish(
        *(envelope(RUN, n, [types.Tag(f"k{n}", value, n)]) for n, value in enumerate(values))
    )
    async with working(kafka, database, prefix):
        await db.applied(7)
    assert await db.rows("SELECT value FROM tags ORDER BY value") == [("a",), ("b",), ("c",), ("d",)]
    letters = await db.rows("SELECT first_seq, reason FROM dead_letters ORDER BY first_seq")
    assert [letter[0] for letter in letters] == [2, 4]
    assert all("Postgres refuses it" in letter[1] for letter in letters)
    assert await db.rows("SELECT missing::text FROM marks WHERE stream = $1", RUN) == [("{[2,3),[4,5)}",)]


async def test_a_worker_goes_on_where_the_last_one_stopped(kafka, database, prefix, publish, db):
    await publish.publish(envelope(RUN, 0, [started()]))
    async with working(kafka, database, prefix):
        await db.applied(2)
    await publish.publish(envelope(RUN, 1, [types.Tag("later", "yes", 1)]))
    async with working(kafka, database, prefix):
        await db.applied(3)
    assert await db.rows("SELECT sum(records)::int, sum(duplicates)::int FROM ingest_partitions") == [(3, 0)]
    assert await db.rows("SELECT min(epoch)::int, max(epoch)::int FROM ingest_partitions") == [(2, 2)]


async def test_a_cut_connection_is_made_again_and_nothing_is_lost(kafka, database, prefix, publish, db):
    async with working(kafka, database, prefix):
        await publish.publish(envelope(RUN, 0, [started()]))
        await db.applied(2)
        for n in range(1, 11):  # at ever another moment of the goodbye
            (cut_off,) = await db.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'runstone worker' AND datname = current_database()"
            )
            assert cut_off == (True,)
            await publish.publish(envelope(RUN, n, [types.Tag(f"k{n}", "v", 1)]))
            await db.applied(2 + n)
    assert await db.rows("SELECT count(*)::int FROM tags") == [(10,)]


async def test_a_worker_that_lost_a_partition_without_knowing_reads_it_again(
    kafka, database, prefix, publish, db
):
    async with working(kafka, database, prefix):
        await publish.publish(envelope(RUN, 0, [started()]))
        await db.applied(2)
        await db.connection.execute("UPDATE ingest_partitions SET epoch = epoch + 1, owner = 'another'")
        await publish.publish(envelope(RUN, 1, [types.Tag("k", "v", 1)]))
        await db.applied(3)
    assert await db.rows("SELECT key FROM tags") == [("k",)]


async def test_the_write_of_an_older_owner_changes_nothing(database, db):
    await db.connection.execute("INSERT INTO ingest_partitions (topic, partition, epoch) VALUES ('t', 0, 5)")
    items = [admitted(pack(SESSION, RUN, 0, [started(), Point(SeriesKey("m"), 1, 1, 1.0)]), 0)]
    changes = Tables().batch(items)
    connection = await pool.connect_writer(database, "test")
    try:
        await connection.execute("SET search_path TO runstone_g1")
        for epoch, expected in ((4, 0), (5, 1)):
            stale = writer.Advance("t", 0, epoch, expected, 1, b"h" * 16, Tally(1))
            with pytest.raises(NotOurPartitionError, match="t/0"):
                await writer.write(connection, [stale], changes)
        with pytest.raises(NotOurPartitionError):
            await writer.rank(connection, [("t", 0, 4)], [RUN])
        assert await db.rows("SELECT next_offset FROM ingest_partitions") == [(0,)]
        assert await db.rows("SELECT run_id FROM runs") == []
        assert await db.rows("SELECT run_id FROM metric_chunks") == []
        await writer.write(connection, [writer.Advance("t", 0, 5, 0, 1, b"h" * 16, Tally(1))], changes)
        assert await db.rows("SELECT next_offset, last_hash FROM ingest_partitions") == [(1, b"h" * 16)]
    finally:
        await connection.close()


async def test_the_latest_value_of_a_models_metric_is_updated_within_its_page(database, db):
    await db.connection.execute("INSERT INTO ingest_partitions (topic, partition) VALUES ('t', 0)")
    connection = await pool.connect_writer(database, "test")
    try:
        await connection.execute("SET search_path TO runstone_g1")
        tables, of_a_model = Tables(), SeriesKey("acc", "m-" + "0c" * 16)
        for n in range(20):
            changes = tables.batch([admitted(pack(SESSION, RUN, n, [Point(of_a_model, n, n, 1.0)]), n)])
            await writer.write(connection, [writer.Advance("t", 0, 0, n, n + 1, b"", Tally(1))], changes)
        await connection.execute("SELECT pg_stat_force_next_flush()")
    finally:
        await connection.close()
    assert await db.rows(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables "
        "WHERE schemaname = 'runstone_g1' AND relname = 'latest_metrics'"
    ) == [(19, 19)]


async def test_a_refused_write_says_so_and_changes_nothing(database, db):
    await db.connection.execute("INSERT INTO ingest_partitions (topic, partition) VALUES ('t', 0)")
    changes = Changes(Loaded())
    changes.run(RUN, 0, 0).status = "NO STATUS"
    connection = await pool.connect_writer(database, "test")
    try:
        await connection.execute("SET search_path TO runstone_g1")
        with pytest.raises(RefusedRowsError, match="runs_status_check"):
            await writer.write(connection, [writer.Advance("t", 0, 0, 0, 1, b"", Tally(1))], changes)
    finally:
        await connection.close()
    assert await db.rows("SELECT next_offset FROM ingest_partitions") == [(0,)]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("last_hash = 'other'", "found another record"),
        ("next_offset = 1000", "offset 999, from which on"),
    ],
)
async def test_a_log_that_was_replaced_halts_its_partition_and_no_other(
    damage, words, kafka, database, prefix, publish, db, capsys
):
    home = identity.partition_of(RUN, PARTITIONS)
    other = next(r for r in (f"{n:032x}" for n in range(99)) if identity.partition_of(r, PARTITIONS) != home)
    async with working(kafka, database, prefix):
        await publish.publish(envelope(RUN, 0, [started()]))
        await db.applied(2)
    where = f"topic = '{prefix}.events' AND partition = {home}"
    await db.connection.execute(f"UPDATE ingest_partitions SET {damage} WHERE {where}")
    (before,) = await db.rows(f"SELECT next_offset FROM ingest_partitions WHERE {where}")
    async with working(kafka, database, prefix):
        await publish.publish(envelope(RUN, 1, [types.Tag("k", "v", 1)]), envelope(other, 0, [started()]))
        await db.until("SELECT run_id FROM runs", lambda rows: len(rows) == 2)
    err = capsys.readouterr().err
    assert f"HALTED {prefix}.events/{home}" in err
    assert words in err
    assert await db.rows("SELECT key FROM tags") == []
    assert await db.rows(f"SELECT next_offset FROM ingest_partitions WHERE {where}") == [before]


async def test_two_workers_share_the_partitions_and_count_each_record_once(
    kafka, database, prefix, publish, db
):
    runs = [f"{n:032x}" for n in range(12)]
    async with working(kafka, database, prefix), working(kafka, database, prefix):
        await db.until("SELECT count(DISTINCT owner) FROM ingest_partitions", lambda rows: rows[0][0] == 2)
        for n in range(20):
            await publish.publish(
                *(pack(SESSION, run, n, [Point(SeriesKey("m"), n, n, 1.0)]) for run in runs)
            )
        await db.applied(1 + 20 * len(runs))
    assert await db.rows("SELECT DISTINCT points FROM latest_metrics") == [(20,)]
    assert await db.rows("SELECT sum(duplicates)::int FROM ingest_partitions") == [(0,)]


async def test_the_latest_value_is_the_greatest_whatever_batch_brought_it(
    kafka, database, prefix, publish, db
):
    values = [0.0, -0.0, 1.0, math.nan, math.inf, -math.inf]
    chance = random.Random(3)
    seen: dict[str, list[tuple[int, int, float]]] = {}
    async with working(kafka, database, prefix):
        for n in range(40):
            key = f"m{n % 4}"
            point = chance.randrange(2), chance.randrange(2), chance.choice(values)
            seen.setdefault(key, []).append(point)
            await publish.publish(envelope(RUN, n, table=points((key, *point))))
            await db.applied(n + 2)
    for key, step, time, value in await db.rows("SELECT key, step, time, value FROM latest_metrics"):
        greatest = max(
            seen[key],
            key=lambda p: (p[0], p[1], not math.isnan(p[2]), p[2], math.copysign(1, p[2])),
        )
        assert repr((step, time, value)) == repr(greatest), key


async def test_the_metrics_of_a_running_run_are_ranked_in_the_background(
    kafka, database, prefix, publish, db
):
    await publish.publish(envelope(RUN, 0, [started()], points(("acc", 1, 1, 0.5))))
    async with working(kafka, database, prefix):
        await db.until("SELECT value FROM ranked_metrics", lambda rows: rows == [(0.5,)])


async def test_a_worker_waits_for_the_topics_and_the_read_model(kafka, empty_database, prefix, capsys):
    from runstone_ingest import topics
    from runstone_store.migrations import migrate

    async with working(kafka, empty_database, prefix):
        await topics.create(kafka, prefix, 2)
        await migrate(empty_database)
        async with asking(empty_database) as db:
            await db.until("SELECT partitions FROM installation", lambda rows: rows == [(2,)])


async def test_the_connection_of_an_owner_that_hangs_is_ended(kafka, database, prefix, publish, db):
    hanging = await asyncpg.connect(database, server_settings={"search_path": "runstone_g1"})
    await hanging.execute(
        "INSERT INTO ingest_partitions (topic, partition, epoch, backend_pid, backend_start) "
        "SELECT $1, 0, 1, pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()",
        f"{prefix}.catalog",
    )
    held = hanging.transaction()
    await held.start()
    await hanging.execute("UPDATE ingest_partitions SET records = records")
    async with working(kafka, database, prefix):
        await db.applied(1)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await hanging.execute("SELECT 1")
    hanging.terminate()
