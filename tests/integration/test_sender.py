"""The sender as a process, a hand-made spool before it and a real Kafka behind it."""

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import sys
import time
from collections import defaultdict
from pathlib import Path

import orjson
import pytest
from aiohttp import web
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from runstone.events.artifact_paths import MARKER
from runstone.events.identity import new_run_id
from runstone.events.types import (
    Artifact,
    ExperimentCreated,
    Param,
    RangeDeclared,
    RunEnded,
    RunStarted,
    SessionEnded,
    Tag,
)
from runstone.spool.layout import SHORT, MachineFolder
from runstone.spool.refused import RefusedFile
from runstone.spool.segment import EVENT
from runstone_local.ports import free_ports
from tests.fix_delivery import DEADLINE, until
from tests.handmade_spool import HandmadeSession

STARTED = RunStarted(0, "Default", "a run", 1)


async def test_what_several_sessions_wrote_arrives_exactly(machine, door, start_sender, ledger):
    run, other = new_run_id(), new_run_id()
    first, second = HandmadeSession(machine, door.uri), HandmadeSession(machine, door.uri)
    expected = defaultdict(dict)
    first.event("catalog", ExperimentCreated("Default", 1))
    first.event(run, STARTED)
    now = 1_700_000_000_000_000_000
    for i in range(12_000):
        if i == 7000:
            first.roll()
        first.point(run, f"loss/{i % 3}", i, i / 7, now + i * 1_000_000)
        expected[first.id, run][i + 1] = (f"loss/{i % 3}", i, now // 1_000_000 + i, i / 7)
    for i in range(50):
        second.event(run, Param(f"p{i}", "x", i))
        second.event(other, Tag(f"t{i}", "y", i))
        expected[second.id, run][i] = Param(f"p{i}", "x", i)
        expected[second.id, other][i] = Tag(f"t{i}", "y", i)
    expected[first.id, "catalog"][0] = ExperimentCreated("Default", 1)
    expected[first.id, run][0] = STARTED
    start_sender()
    await until(lambda: ledger.has(first.id, run, 12_001), "the first session's points")
    await until(lambda: ledger.has(second.id, other, 50), "the second session's tags")
    assert dict(ledger.records()) == dict(expected)
    before = time.monotonic()
    second.event(run, Param("later", "x", 1))
    second.wake()
    await until(lambda: ledger.has(second.id, run, 51), "a record that was written while it slept")
    assert time.monotonic() - before < 5
    first.die()
    second.die(cause=signal.SIGTERM)
    await until(
        lambda: _read_then(ledger, lambda: len(ledger.said(SessionEnded)) == 3), "both ends", deadline=10
    )
    ends = {(e.session, e.status) for e in ledger.said(SessionEnded)}
    assert ends == {(first.id, "FAILED"), (second.id, "KILLED")}


async def _read_then(ledger, condition):
    await ledger.read()
    return condition()


async def test_a_killed_sender_is_followed_by_one_that_leaves_nothing_out(
    machine, door, start_sender, ledger
):
    run = new_run_id()
    session = HandmadeSession(machine, door.uri)
    session.event(run, STARTED)
    for i in range(6000):
        session.point(run, "loss", i, float(i))
    process = start_sender()
    await until(session.folder.ack.exists, "a first acknowledgement")
    process.kill()
    process.wait()
    for i in range(6000, 12_000):
        session.point(run, "loss", i, float(i))
    session.event(run, RunEnded("FINISHED", 5))
    start_sender()
    await until(lambda: ledger.has(session.id, run, 12_002), "every record")
    assert sorted(ledger.records()[session.id, run]) == list(range(12_002))
    session.die()
    await until(lambda: _read_then(ledger, lambda: ledger.said(SessionEnded)), "the session's end")
    assert [e.status for e in ledger.said(SessionEnded)] == ["FINISHED"]


async def test_records_wait_for_a_server_and_for_brokers_that_come_later(machine, door, start_sender, ledger):
    run = new_run_id()
    reachable, door.bootstrap = door.bootstrap, f"127.0.0.1:{free_ports(1)[0]}"
    await door.stop()
    session = HandmadeSession(machine, door.uri)
    session.event(run, STARTED)
    start_sender()

    def finding():
        with contextlib.suppress(OSError, ValueError):
            return orjson.loads(machine.destination(door.uri).read_bytes())["finding"]

    assert "nothing answers at " + door.uri in await until(finding, "a finding")
    await door.start()
    await until(lambda: "does not take records" in (finding() or ""), "a finding about Kafka")
    door.bootstrap = reachable
    await until(lambda: ledger.has(session.id, run, 1), "the record")
    await until(lambda: finding() is None, "no finding any more")
    session.die()


async def test_something_else_than_runstone_is_a_finding(machine, start_sender):
    async def page(_request):
        return web.Response(text="<html>It works!</html>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/api/v1/connect", page)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_ports(1)[0]
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        uri = f"http://127.0.0.1:{port}"
        session = HandmadeSession(machine, uri)
        session.event(new_run_id(), STARTED)
        start_sender()
        found = await until(
            lambda: machine.destination(uri).exists() and machine.destination(uri).read_bytes()
        )
        assert "is not a Runstone server" in orjson.loads(found)["finding"]
        session.die()
    finally:
        await runner.cleanup()


async def test_another_installation_at_the_same_address_gets_nothing_of_a_begun_session(
    machine, door, start_sender, ledger
):
    run = new_run_id()
    session = HandmadeSession(machine, door.uri)
    session.event(run, STARTED)
    first = start_sender()
    await until(lambda: ledger.has(session.id, run, 1), "the first record")
    first.kill()
    first.wait()
    door.installation = "installation-b"
    session.event(run, Param("a", "1", 1))
    fresh = HandmadeSession(machine, door.uri)
    fresh.event(new_run_id(), STARTED)
    start_sender()
    await until(fresh.folder.ack.exists, "the new session's record")
    found = await until(lambda: orjson.loads(machine.destination(door.uri).read_bytes())["finding"])
    assert "another installation" in found
    await ledger.read()
    assert len(ledger.records()[session.id, run]) == 1
    session.die()
    fresh.die()


@pytest.mark.parametrize("visible", [True, False])
async def test_artifacts_reach_the_store_before_their_pointers(machine, door, start_sender, ledger, visible):
    if visible:
        (door.root / MARKER).write_text(door.installation)
    run = new_run_id()
    session = HandmadeSession(machine, door.uri)
    session.event(run, STARTED)
    content = os.urandom(3_000_000)
    upload = session.upload(run, "model/model.pkl", content)
    never = session.upload(run, "../outside", b"x")
    process = start_sender()
    done = session.folder.upload_done(upload)
    await until(done.exists, "the upload")
    told = orjson.loads(done.read_bytes())
    await ledger.read()
    pointer = ledger.records()[told["session"], run][told["seq"]]
    place = door.root / "7" / run / "artifacts" / "model" / "model.pkl"
    assert isinstance(pointer, Artifact)
    assert pointer.uri == place.as_uri()
    assert pointer.sha256 == hashlib.sha256(content).hexdigest()
    assert place.read_bytes() == content
    assert door.puts == (0 if visible else 1)
    await until(lambda: not any(session.folder.uploads.glob("*.data")), "an emptied folder")
    aside = {
        path.suffix: path.read_bytes() for path in machine.rejected.glob(f"{session.id}-upload-{never}.*")
    }
    assert aside[".data"] == b"x"
    assert "stays within the run" in orjson.loads(aside[".json"])["reason"]
    session.die()
    assert await asyncio.to_thread(process.wait, DEADLINE) == 0, "a rejected upload does not keep it busy"


async def test_damage_is_declared_and_the_session_ends_uncleanly(machine, door, start_sender, ledger):
    run = new_run_id()
    session = HandmadeSession(machine, door.uri)
    session.event(run, STARTED)
    for i in range(100):
        session.point(run, "loss", i, float(i))
    for at in session.segment.positions[-60:-50]:
        os.pwrite(session.segment.file, b"\xff\xff", at + 40)
    refused = RefusedFile(session.folder.refused)
    refused.note(run, 101, 7)
    refused.close()
    session.die()
    start_sender()
    await until(lambda: _read_then(ledger, lambda: ledger.said(SessionEnded)), "the session's end")
    assert [(e.session, e.first_seq, e.count, e.kind) for e in ledger.said(RangeDeclared)] == [
        (session.id, 41, 10, "damaged"),
        (session.id, 101, 7, "dropped"),
    ]
    assert sorted(ledger.records()[session.id, run]) == [*range(41), *range(51, 101)]
    assert [e.clean for e in ledger.said(SessionEnded)] == [False]


async def test_a_record_that_is_none_of_the_contract_stops_neither_its_session_nor_another(
    machine, door, start_sender
):
    run = new_run_id()
    odd, other = HandmadeSession(machine, door.uri), HandmadeSession(machine, door.uri)
    for session in (odd, other):
        session.event(run, STARTED)
    odd.seqs[run] += 3
    stream, seq = odd.segment.stream(run, 0)[0], 4
    odd.segment.put(EVENT, stream=stream, seq=seq, payload=b'{"type":"range_declared","count":"3"}')
    for session in (odd, other):
        session.die()
    start_sender()
    for session in (odd, other):
        await until((session.folder.ended / run).exists, f"the end of {session.id}")


async def test_a_sender_leaves_when_idle_and_another_one_takes_over(machine, door, start_sender, ledger):
    run = new_run_id()
    session = HandmadeSession(machine, door.uri)
    session.event(run, STARTED)
    first = start_sender()
    await until(lambda: ledger.has(session.id, run, 1), "the record")
    second = start_sender()
    assert await asyncio.to_thread(second.wait, DEADLINE) == 0
    assert first.poll() is None
    session.die()
    assert await asyncio.to_thread(first.wait, DEADLINE) == 0
    assert orjson.loads(machine.sender_json.read_bytes())["state"] == "leaving"
    late = HandmadeSession(machine, door.uri)
    late.event(run, Param("a", "1", 1))
    start_sender()
    await until(lambda: ledger.has(late.id, run, 1), "the next session's record")
    late.die()


async def test_a_sender_whose_spool_was_removed_leaves(machine, start_sender):
    session = HandmadeSession(machine, f"http://127.0.0.1:{free_ports(1)[0]}")
    session.event(new_run_id(), STARTED)
    process = start_sender()
    await until(machine.sender_json.exists, "the sender runs")
    session.die()
    shutil.rmtree(machine.path)
    assert await asyncio.to_thread(process.wait, DEADLINE) == 0


async def test_the_sender_forks_itself_away(machine, door, ledger):
    run = new_run_id()
    session = HandmadeSession(machine, door.uri)
    session.event(run, STARTED)
    began = time.monotonic()
    command = [sys.executable, "-m", "runstone.sender", "--spool", str(machine.path)]
    starter = await asyncio.create_subprocess_exec(*command)
    assert await starter.wait() == 0
    assert time.monotonic() - began < 5
    await until(lambda: ledger.has(session.id, run, 1), "the record")
    pid = orjson.loads(machine.sender_json.read_bytes())["pid"]
    assert os.getsid(pid) != os.getsid(0)
    os.kill(pid, signal.SIGTERM)
    await until(lambda: not Path(f"/proc/{pid}").exists(), "its end after SIGTERM")
    session.die()


async def test_what_the_broker_refuses_is_put_aside_and_the_rest_arrives(
    machine, door, start_sender, ledger, topics
):
    admin = AIOKafkaAdminClient(bootstrap_servers=topics.bootstrap)
    await admin.start()
    limit = ConfigResource(ConfigResourceType.TOPIC, topics.events, {"max.message.bytes": "3000"})
    await admin.alter_configs([limit])
    await admin.close()
    run = new_run_id()
    session = HandmadeSession(machine, door.uri)
    session.event(run, STARTED)
    for i in range(20):
        session.event(run, Tag(f"t{i}", "x" * (5000 if i == 7 else 10), i))
    start_sender()
    await until(lambda: _read_then(ledger, lambda: ledger.said(RangeDeclared)), "the declaration")
    await until(lambda: ledger.has(session.id, run, 20), "the others")
    (declared,) = ledger.said(RangeDeclared)
    assert (declared.first_seq, declared.count, declared.kind) == (8, 1, "rejected")
    assert sorted(ledger.records()[session.id, run]) == [*range(8), *range(9, 21)]
    (aside,) = machine.rejected.iterdir()
    assert orjson.loads(aside.read_bytes())["envelope"]["events"][0]["key"] == "t7"
    session.die()


async def test_what_an_earlier_boot_left_is_delivered(machine, door, start_sender, ledger):
    run = new_run_id()
    earlier = HandmadeSession(MachineFolder(machine.path.with_name("machine-earlier")), door.uri, alive=False)
    earlier.event(run, STARTED)
    stranger = HandmadeSession(
        MachineFolder(machine.path.with_name("stranger-earlier")), door.uri, alive=False
    )
    stranger.event(run, STARTED)
    start_sender()
    await until(lambda: _read_then(ledger, lambda: ledger.said(SessionEnded)), "the session's end")
    assert {session for session, _stream in ledger.records()} >= {earlier.id}
    assert stranger.id not in {session for session, _stream in ledger.records()}
    assert {e.clean for e in ledger.said(SessionEnded) if e.session == earlier.id} == {False}
    earlier.die()
    stranger.die()


async def test_what_is_kept_after_the_acknowledgement_goes_when_a_process_needs_the_room(
    machine, door, start_sender, ledger
):
    run = new_run_id()
    session = HandmadeSession(machine, door.uri)
    session.event(run, STARTED)
    for i in range(3):
        session.roll()
        session.point(run, "loss", i, 1.0)
    start_sender()
    await until(lambda: ledger.has(session.id, run, 4), "the records")
    await until(lambda: (found := session.folder.ack).exists() and found.read_bytes()[4] == 4, "the ack")
    assert session.folder.segment_numbers() == [1, 2, 3, 4]
    with machine.asleep.open("r+b") as asleep:
        os.pwrite(asleep.fileno(), b"\1", SHORT)
    await until(lambda: session.folder.segment_numbers() == [4], "the removal")
    assert machine.asleep.read_bytes()[SHORT] == 0
    session.die()


async def test_a_session_that_is_complete_only_later_is_found(machine, door, start_sender, ledger):
    run = new_run_id()
    session = HandmadeSession(machine, door.uri)
    session.event(run, STARTED)
    hidden = session.folder.json.rename(session.folder.path / "session.new")
    first = HandmadeSession(machine, door.uri)
    first.event(run, STARTED)
    start_sender()
    await until(lambda: ledger.has(first.id, run, 1), "the complete session")
    os.utime(machine.sessions, (1, 1))
    hidden.rename(session.folder.json)
    await until(lambda: ledger.has(session.id, run, 1), "the other one")
    session.die()
    first.die()


async def test_a_wrong_setting_for_kafka_is_told_to_the_clients(machine, door, start_sender, monkeypatch):
    monkeypatch.setenv("RUNSTONE_KAFKA_USERNAME", "x")
    session = HandmadeSession(machine, door.uri)
    session.event(new_run_id(), STARTED)
    assert await asyncio.to_thread(start_sender().wait, DEADLINE) == 2
    finding = orjson.loads(machine.destination(door.uri).read_bytes())["finding"]
    assert "RUNSTONE_KAFKA_USERNAME is no setting for Kafka" in finding
    session.die()
