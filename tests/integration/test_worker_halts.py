"""A partition halts instead of skipping or burying everything; what is decided about it loses nothing more."""

import asyncio
import json

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from runstone import cli
from runstone.events import encoding, identity, types
from runstone_ingest import breaker, ledger_guard, topics, watchdog, worker
from runstone_ingest.exceptions import StuckError
from runstone_ingest.fetching import Fetching
from runstone_ingest.worker import Worker
from tests.fix_worker import PARTITIONS, working
from tests.publishing import SESSION, envelope, publisher

RUN = "0a" * 16
HOME = identity.partition_of(RUN, PARTITIONS)


@pytest.fixture
def command(kafka, database, prefix, monkeypatch, capfd):
    """Runs `runstone …` here; gives its exit code and what it printed."""
    monkeypatch.setenv("RUNSTONE_BOOTSTRAP_SERVERS", kafka)
    monkeypatch.setenv("RUNSTONE_POSTGRES_DSN", database)
    monkeypatch.setenv("RUNSTONE_TOPIC_PREFIX", prefix)

    async def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = await asyncio.to_thread(cli.main, list(arguments))
        return code, *capfd.readouterr()

    return run


def bad(first: int, count: int) -> list[tuple[str, bytes, list[tuple[str, bytes]]]]:
    return [(RUN, b"{", encoding.headers(SESSION, RUN, n, 1)) for n in range(first, first + count)]


async def test_the_breaker_stops_a_partition_that_brings_nothing_but_bad_records(
    kafka, database, prefix, publish, db, command, monkeypatch
):
    monkeypatch.setattr(breaker, "ROW", 20)
    place = f"{prefix}.events/{HOME}"
    async with working(kafka, database, prefix):
        await publish.publish(envelope(RUN, 0, [types.Tag("k0", "v", 1)]))
        await publish.records(bad(1, 20))
        await publish.publish(envelope(RUN, 21, [types.Tag("k1", "v", 1)]))  # 20 in a row are borne
        await publish.records(bad(22, 60))
        await publish.publish(envelope(RUN, 82, [types.Tag("k2", "v", 1)]))
        await db.until("SELECT kind FROM halts", lambda rows: rows == [("poison",)])
        stood = (
            "SELECT next_offset, dead FROM ingest_partitions WHERE topic LIKE '%events' AND partition = $1"
        )
        assert await db.rows(stood, HOME) == [(42, 40)]
        code, out, _err = await command("repair", "list", "--json")
        (halted,) = json.loads(out)["halted"]
        assert (code, halted["kind"], halted["next_offset"], halted["log"]) == (1, "poison", 42, [0, 83])
    async with working(kafka, database, prefix):  # whoever comes next does not try again by itself
        await publish.publish(envelope("0b" * 16, 0, [types.Tag("other", "v", 1)]))
        await db.until(
            "SELECT owner, epoch FROM ingest_partitions", lambda rows: all(row[1] >= 2 for row in rows)
        )
        assert await db.rows(stood, HOME) == [(42, 40)]
        assert (await command("repair", "resume", place))[0] == 0
        await db.until(stood.replace("$1", str(HOME)), lambda rows: rows[0] == (62, 60))
        await db.until("SELECT kind FROM halts", lambda rows: rows == [("poison",)])
        assert (await command("repair", "resume", "--all", "--accept-dead-until", "82"))[0] == 0
        await db.until("SELECT key FROM tags WHERE key = 'k2'", lambda rows: rows != [])
        assert (await command("repair", "list")) == (
            0,
            "no partition halts, and the topics are as they should be\n",
            "",
        )


async def test_a_partition_that_a_worker_of_another_version_found_poisonous_is_tried_again(
    kafka, database, prefix, publish, db
):
    await publish.publish(envelope(RUN, 0, [types.Tag("k0", "v", 1)]))
    await db.connection.execute(
        "INSERT INTO ingest_partitions (topic, partition) SELECT $1, n FROM generate_series(0, 2) n",
        f"{prefix}.events",
    )
    await db.connection.execute(
        "INSERT INTO halts (topic, partition, kind, reason, version) VALUES ($1, $2, 'poison', 'r', '0.0.0')",
        f"{prefix}.events",
        HOME,
    )
    async with working(kafka, database, prefix):
        await db.applied(2)
    assert await db.rows("SELECT kind FROM halts") == []


async def _truncate(kafka: str, topic: str, partition: int, before: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(before_offset=before)})
    finally:
        await admin.close()


async def test_a_truncated_log_halts_and_is_read_again_from_what_there_is(
    kafka, database, prefix, publish, db, command
):
    place = f"{prefix}.events/{HOME}"
    await publish.publish(*(envelope(RUN, n, [types.Tag(f"k{n}", "v", 1)]) for n in range(3)))
    async with working(kafka, database, prefix):
        await db.applied(4)
    await publish.publish(*(envelope(RUN, n, [types.Tag(f"k{n}", "v", 1)]) for n in range(3, 9)))
    await _truncate(kafka, f"{prefix}.events", HOME, 6)
    async with working(kafka, database, prefix):
        await db.until("SELECT kind FROM halts", lambda rows: rows == [("lost",)])
        code, out, err = await command("repair", "reread", place)
        assert (code, "LOST: the records at offsets 3 to 5 were never applied" in out) == (1, True), out
        assert "nothing was changed" in err
        code, out, _err = await command("repair", "reread", place, "--yes")
        assert code == 0, out
        await db.until("SELECT key FROM tags WHERE key = 'k8'", lambda rows: rows != [])
    assert await db.rows("SELECT missing::text FROM marks WHERE stream = $1", RUN) == [("{[3,6)}",)]
    assert await db.rows("SELECT count(*)::int FROM tags") == [(6,)]


async def test_topics_that_were_made_again_halt_everything_and_are_read_again_when_told(
    kafka, database, prefix, publish, db, command
):
    await publish.publish(envelope(RUN, 0, [types.Tag("old", "v", 1)]))
    async with working(kafka, database, prefix):
        await db.applied(2)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_topics([f"{prefix}.events", f"{prefix}.catalog"])
    finally:
        await admin.close()
    made = await topics.create(kafka, prefix, PARTITIONS)
    async with publisher(kafka, prefix, PARTITIONS) as again:
        await again.publish(envelope(RUN, 0, [types.Tag("new", "v", 1)], session="ab" * 16))
    async with working(kafka, database, prefix):
        halted = await db.until(
            "SELECT topic, partition, kind FROM halts ORDER BY topic", lambda rows: len(rows) == 2
        )
        assert {row[2] for row in halted} == {"recreated"}
        assert await db.rows("SELECT key FROM tags") == [("old",)]
        code, out, _err = await command("repair", "reread", "--all", "--yes")
        assert (code, "stays in the read model only" in out) == (0, True)
        await db.until("SELECT key FROM tags ORDER BY key", lambda rows: rows == [("new",), ("old",)])
        await db.until(
            "SELECT installation_id FROM installation", lambda rows: rows == [(made.installation_id,)]
        )
    assert await db.rows("SELECT kind FROM halts") == []


async def test_a_log_that_is_made_again_under_a_working_worker_halts(
    kafka, database, prefix, publish, db, monkeypatch
):
    monkeypatch.setattr(ledger_guard, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(worker, "METADATA_MS", 500)
    async with working(kafka, database, prefix):
        for n in range(3):
            await publish.publish(envelope(RUN, n, [types.Tag(f"k{n}", "v", 1)]))
            await db.applied(2 + n)
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        await admin.start()
        try:
            await admin.delete_topics([f"{prefix}.events"])
            await topics.create(kafka, prefix, PARTITIONS)
        finally:
            await admin.close()
        async with publisher(kafka, prefix, PARTITIONS) as again:
            await again.publish(
                *(envelope(RUN, n, [types.Tag(f"n{n}", "v", 1)], session="ab" * 16) for n in range(20))
            )
        (halted,) = await db.until("SELECT kind, partition FROM halts", lambda rows: rows != [])
    assert halted[0] in {"lost", "rewritten"}
    assert halted[1] == HOME


async def test_what_is_wrong_with_the_topics_is_said_and_written_down_until_it_is_mended(
    kafka, database, prefix, publish, db, monkeypatch, capsys
):
    monkeypatch.setattr(ledger_guard, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(ledger_guard, "CHECK_SECONDS", 0.1)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()

    async def retain(milliseconds: int) -> None:
        settings = topics.SETTINGS | {"retention.ms": str(milliseconds)}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, f"{prefix}.events", settings)])

    try:
        await retain(604_800_000)
        async with working(kafka, database, prefix):
            ((finding,),) = await db.until("SELECT finding FROM ledger_findings", lambda rows: rows != [])
            assert f"{prefix}.events: retention.ms is 604800000, expected -1" in finding
            await retain(-1)
            await db.until("SELECT finding FROM ledger_findings", lambda rows: rows == [])
    finally:
        await admin.close()
    assert f"runstone worker: ALARM {prefix}.events: retention.ms" in capsys.readouterr().err


async def test_a_worker_that_has_silently_stopped_ends_with_an_error(
    kafka, database, prefix, publish, db, monkeypatch
):
    async def hang(self: Fetching) -> None:
        await self._stop.wait()

    monkeypatch.setattr(Fetching, "run", hang)
    monkeypatch.setattr(ledger_guard, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(watchdog, "STUCK_SECONDS", 0.5)
    await publish.publish(envelope(RUN, 0, [types.Tag("k0", "v", 1)]))
    stuck = Worker(kafka, database, prefix)
    async with asyncio.timeout(20):
        with pytest.raises(StuckError, match="offsets are not fetched, although Kafka and Postgres answer"):
            await stuck.run()


async def test_a_record_that_was_applied_and_is_another_one_now_halts_its_partition(
    kafka, database, prefix, publish, db, monkeypatch
):
    monkeypatch.setattr(ledger_guard, "LOOK_SECONDS", 0.1)
    async with working(kafka, database, prefix) as here:
        await publish.publish(envelope(RUN, 0, [types.Tag("k0", "v", 1)]))
        await db.applied(2)
        here._ownership.held[TopicPartition(f"{prefix}.events", HOME)].witness = (0, b"another")
        halted = await db.until("SELECT kind, reason FROM halts", lambda rows: rows != [])
    assert halted == [("rewritten", "expected at offset 0 a record that was applied, found another record")]
