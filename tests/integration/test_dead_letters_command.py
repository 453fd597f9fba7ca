"""`runstone dead-letters`: after a redrive the read model is what a new one is made to be from the same topic."""

import asyncio
import json
import math

import pytest

from runstone import cli
from runstone.events import CATALOG, encode, encoding, identity, types
from tests.fix_worker import PARTITIONS, working
from tests.publishing import SESSION, Database, asking, envelope, points
from tests.read_model_contents import contents

RUN = "0a" * 16
OTHER_RUN = "0b" * 16
HOME = identity.partition_of(RUN, PARTITIONS)


@pytest.fixture
def command(kafka, database, prefix, monkeypatch, capfd):
    """Runs `runstone dead-letters` here; gives its exit code and what it printed."""
    monkeypatch.setenv("RUNSTONE_BOOTSTRAP_SERVERS", kafka)
    monkeypatch.setenv("RUNSTONE_POSTGRES_DSN", database)
    monkeypatch.setenv("RUNSTONE_TOPIC_PREFIX", prefix)

    async def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = await asyncio.to_thread(cli.main, ["dead-letters", *arguments])
        return code, *capfd.readouterr()

    return run


async def _publish_a_history(publish) -> int:
    """A run with a record that some schema refuses and one that nobody can read; how many records there are."""
    poison = envelope(RUN, 2, [types.Tag("kind", "poison", 2), types.Param("lr", "0.1", 3)])
    await publish.publish(
        envelope(CATALOG, 0, [types.ExperimentCreated("digits", 5)]),
        envelope(RUN, 0, [types.RunStarted(7, "digits", "first", 1), types.Tag("kind", "good", 1)]),
        envelope(OTHER_RUN, 0, [types.RunStarted(7, "digits", "other", 1)]),
        poison,
        envelope(RUN, 4, [types.Param("lr", "0.2", 4)], points(("acc", 0, 5, math.nan), ("acc", 1, 6, 0.5))),
        poison,  # sent twice: the second one is a duplicate of one that could not be applied
    )
    await publish.records([(RUN, b"{not json", encoding.headers(SESSION, RUN, 7, 2))])
    await publish.publish(
        envelope(RUN, 9, [types.Tag("after", "yes", 9), types.RunEnded("FINISHED", 10)]),
        envelope(OTHER_RUN, 1, [types.Tag("poisonous", "poison", 1)]),
    )
    return 10


async def _replayed(kafka: str, dsn: str, prefix: str, records: int) -> dict[str, object]:
    async with working(kafka, dsn, prefix), asking(dsn) as db:
        await db.applied(records)
        return await contents(db)


async def test_a_redriven_read_model_is_what_a_new_one_becomes(
    kafka, database, another_database, prefix, publish, db: Database, command
):
    await db.connection.execute("ALTER TABLE tags ADD CONSTRAINT bad CHECK (value <> 'poison')")
    records = await _publish_a_history(publish)
    async with working(kafka, database, prefix):
        await db.applied(records)
        assert await db.rows("SELECT count(*)::int FROM dead_letters") == [(4,)]
        before = await contents(db)

        code, out, _err = await command("redrive", "--all")  # the cause is still there
        assert (code, await contents(db)) == (1, before), out

        await db.connection.execute("ALTER TABLE tags DROP CONSTRAINT bad")
        ((offset,),) = await db.rows('SELECT min("offset") FROM dead_letters WHERE stream = $1', RUN)
        code, out, _err = await command("redrive", f"{prefix}.events/{HOME}/{offset}")
        assert code == 1  # what is no JSON stays so
        assert "dead letters 3 before, 1 now" in out
        code, out, _err = await command("redrive", "--run", OTHER_RUN, "--run", CATALOG, "--json")
        assert (code, [one["dead"] for one in json.loads(out)["streams"]]) == (0, [0, 0])
        redriven = await contents(db)
        assert redriven == await _replayed(kafka, another_database, prefix, records)
        assert redriven["param_conflicts"] == [(RUN, "lr", "0.2", SESSION, 4)]

        code, out, _err = await command("redrive", "--run", RUN)
        assert (code, await contents(db)) == (1, redriven)  # once more changes nothing

        await publish.publish(envelope(RUN, 11, [types.Tag("kind", "last", 11)]))  # and ingest goes on
        await db.applied(records + 1)
    assert await db.rows("SELECT value FROM tags WHERE run_id = $1 AND key = 'kind'", RUN) == [("last",)]
    assert await db.rows("SELECT missing::text FROM marks WHERE stream = $1", RUN) == [("{[7,9)}",)]


async def test_dead_letters_are_listed_and_shown(kafka, database, prefix, publish, db, command):
    good = envelope(RUN, 0, [types.RunStarted(7, "digits", "first", 1)])
    await publish.publish(good)
    await publish.records(
        [
            (RUN, b"\x00{not json", encoding.headers(SESSION, RUN, 1, 2)),
            (RUN, encode(good), [("traceparent", b"00")]),
        ]
    )
    assert await command("list") == (0, "no dead letters\n", "")
    async with working(kafka, database, prefix):
        await db.applied(4)
    code, out, _err = await command("list")
    assert code == 0
    assert f"{prefix}.events/{HOME}/1  run {RUN}  not JSON" in out, out
    assert "no readable stream  headers: v, session, stream, first_seq, n missing" in out
    code, out, _err = await command("list", "--run", RUN, "--limit", "1")
    assert out.endswith("1 of 2; --limit shows more\n")
    code, out, _err = await command("list", "--json")
    assert {row["offset"] for row in json.loads(out)} == {1, 2}
    code, out, _err = await command("show", f"{prefix}.events/{HOME}/1")
    assert "header     session: b'" + SESSION in out
    assert "{not json" in out
    code, out, _err = await command("show", f"{prefix}.events/{HOME}/1", "--json")
    assert json.loads(out)["value"] == "AHtub3QganNvbg=="
    code, _out, err = await command("show", f"{prefix}.events/{HOME}/0")
    assert (code, "there is no dead letter at" in err) == (1, True)
    code, _out, err = await command("redrive", "--all")
    assert code == 1
    assert "still no record to apply: headers: v, session" in err


async def test_a_redrive_that_would_lose_what_only_the_read_model_has_changes_nothing(
    kafka, database, prefix, publish, db, command
):
    records = await _publish_a_history(publish)
    async with working(kafka, database, prefix):
        await db.applied(records)
    await db.connection.execute("UPDATE ingest_partitions SET last_hash = 'another'")
    before = await contents(db)
    code, _out, err = await command("redrive", "--run", RUN)
    assert (code, "Kafka holds another log" in err) == (1, True), err
    await db.connection.execute("UPDATE ingest_partitions SET next_offset = next_offset + 100")
    code, _out, err = await command("redrive", "--run", RUN)
    assert (code, "Nothing was changed" in err) == (1, True), err
    await db.connection.execute("UPDATE ingest_partitions SET next_offset = next_offset - 100")
    assert await contents(db) == before
