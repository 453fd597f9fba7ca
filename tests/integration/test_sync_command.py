"""``runstone sync``: spools of offline machines, sent by the command in a process of its own."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runstone.events.types import Artifact, RangeDeclared, RunEnded, SessionEnded
from runstone.sender.lease import Lease
from runstone.spool.layout import MachineFolder
from runstone_local.ports import free_ports
from tests import without_privileges
from tests.fix_delivery import DEADLINE, until
from tests.handmade_spool import HandmadeSession

OFFLINE = """
import runstone
with runstone.start_run() as run:
    for step in range(3000):
        runstone.log_metric("loss", 1 / (1 + step), step=step)
    runstone.log_param("lr", 0.1)
    runstone.log_text("hello", "notes/readme.txt")
print(run.run_id)
"""

KILLED = """
import os, signal, time
import runstone
runstone.start_run()
print(time.time_ns() // 10**6)
runstone.log_metric("loss", 1.0)
print(time.time_ns() // 10**6, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

SYNC = """
import sys
from runstone.commands import sync
from runstone.sender import draining
draining.SILENT_MOST = {silent}
draining.STALLED_MOST = 5.0
import argparse
parser = argparse.ArgumentParser()
sync.add_arguments(parser)
sys.exit(sync.run(parser.parse_args()))
"""


async def start(*arguments: str | Path, silent: float = 0.5) -> asyncio.subprocess.Process:
    """Begin a sync."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SYNC.format(silent=silent), *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


async def end(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    """Exit code, stdout and stderr of a sync."""
    async with asyncio.timeout(DEADLINE):
        said, complained = await process.communicate()
    return process.returncode, said.decode(), complained.decode()


@pytest.fixture
async def logged(tmp_path, door):
    """A spool that a program left on an offline machine, and the run it logged."""
    spool = tmp_path / "offline"
    environment = {"RUNSTONE_SPOOL": str(spool), "RUNSTONE_OFFLINE": "1", "RUNSTONE_TRACKING_URI": door.uri}
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OFFLINE, env=os.environ | environment, stdout=subprocess.PIPE
    )
    said, _ = await program.communicate()
    assert program.returncode == 0
    return spool, said.decode().strip()


async def test_what_was_logged_offline_is_sent_once_however_often_and_from_whatever_copy(
    logged, tmp_path, door, ledger
):
    spool, run = logged
    elsewhere, untouchable = tmp_path / "copy", tmp_path / "read only"
    shutil.copytree(spool, elsewhere, copy_function=copy_unless_fifo)
    shutil.copytree(spool, untouchable, copy_function=copy_unless_fifo)
    ours = [await start(spool), await start(elsewhere)]
    for sync in ours:
        code, said, _ = await end(sync)
        assert code == 0
        assert "and 1 artifact from" in said
    records = (await ledger.read()).records()
    ((session,),) = [{s for s, stream in records if stream == run and len(records[s, stream]) > 3000}]
    assert sorted(records[session, run]) == list(range(len(records[session, run])))
    ends = [content for content in records[session, run].values() if isinstance(content, RunEnded)]
    assert [end.status for end in ends] == ["FINISHED"], "both copies have the same sessions and seqs"
    assert {e.path for e in ledger.said(Artifact)} == {"notes/readme.txt"}
    assert (await end(await start(spool)))[:2] == (0, f"there is nothing left to send in {spool}\n")
    with unwritable(untouchable):
        before = sorted(untouchable.rglob("*"))
        code, said, _ = await end(await start(untouchable))
        assert (code, said.split()[0]) == (0, "sent")
        assert sorted(untouchable.rglob("*")) == before, "something was written to a spool that is not ours"
    sent_again = (await ledger.read()).records()
    assert sent_again[session, run] == records[session, run]


async def test_an_offline_job_that_was_killed_has_ended_with_its_last_record_however_late_it_is_sent(
    tmp_path, door, ledger
):
    spool = tmp_path / "offline"
    environment = {"RUNSTONE_SPOOL": str(spool), "RUNSTONE_OFFLINE": "1", "RUNSTONE_TRACKING_URI": door.uri}
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, env=os.environ | environment, stdout=subprocess.PIPE
    )
    said, _ = await program.communicate()
    assert program.returncode == -signal.SIGKILL
    before_last_ms, after_last_ms = map(int, said.split())
    assert (await end(await start(spool)))[0] == 0
    await ledger.read()
    (ended,) = [event for event in ledger.said(SessionEnded) if event.status == "FAILED"]
    assert before_last_ms - 5 <= ended.time <= after_last_ms + 5


def copy_unless_fifo(source: str, target: str) -> None:
    """The FIFO, which not every way of copying takes along, is missing in the copy."""
    if Path(source).name != "wake":
        shutil.copy2(source, target)


@contextlib.contextmanager
def unwritable(root: Path):
    """A spool as on read-only media: for root, who may write anywhere, one of another user."""
    paths = [root, *root.rglob("*")]
    for path in paths:
        os.chown(path, 12345, -1) if os.getuid() == 0 else path.chmod(0o555)
    yield
    for path in paths:
        if os.getuid() != 0:
            path.chmod(0o755)


async def test_damage_and_strange_folders_do_not_keep_the_rest(machine, door, ledger):
    session = HandmadeSession(machine, door.uri)
    for i in range(100):
        session.point("7" * 32, "loss", i, 1.0)
    os.pwrite(session.segment.file, b"\xff", session.segment.positions[-50] + 40)
    session.die()
    torn = HandmadeSession(machine, door.uri)
    torn.point("7" * 32, "loss", 1, 1.0)
    torn.folder.json.write_bytes(b"{")
    torn.folder.ack.write_bytes(b"nonsense")
    torn.die()
    lost = HandmadeSession(machine, door.uri)
    lost.folder.json.unlink()
    os.pwrite(lost.segment.file, bytes(4096), 0)
    lost.point("7" * 32, "loss", 1, 1.0)
    lost.die()
    later = MachineFolder(machine.path.with_name("machine-later"))
    later.sessions.mkdir(parents=True)
    later.format.write_text("2")
    alive = HandmadeSession(machine, door.uri)
    alive.point("7" * 32, "loss", 1, 1.0)
    code, said, _ = await end(await start(machine.path.parent))
    assert code == 1
    assert f"left: {later.path} was written by another version of runstone (format 2" in said
    assert f"left: session {lost.id}: neither session.json nor a segment tells where it belongs" in said
    assert "1 session can still be written to" in said
    await ledger.read()
    assert {(e.session, e.first_seq, e.count) for e in ledger.said(RangeDeclared)} == {(session.id, 50, 1)}
    assert {e.session for e in ledger.said(SessionEnded)} >= {session.id, torn.id}
    assert len(ledger.records()[alive.id, "7" * 32]) == 1
    alive.die()


async def test_a_machines_folder_that_cannot_be_looked_into_is_named_and_keeps_no_other(
    machine, door, ledger
):
    session = HandmadeSession(machine, door.uri)
    session.point("7" * 32, "loss", 1, 1.0)
    session.die()
    locked = machine.path.with_name("machine-locked")
    (locked / "sessions").mkdir(parents=True)
    (machine.path.parent / "lost+found").mkdir(mode=0)
    locked.chmod(0)
    try:
        program = SYNC.format(silent=0.5)
        done = await asyncio.to_thread(
            without_privileges.run, sys.executable, "-c", program, machine.path.parent
        )
    finally:
        locked.chmod(0o700)
    assert f"left: {locked} cannot be sent: [Errno 13] Permission denied" in done.stdout
    assert (done.returncode, "lost+found" in done.stdout) == (1, False)
    assert (session.id, "7" * 32) in (await ledger.read()).records()


async def test_a_server_that_is_away_and_another_address_for_it(machine, door, ledger):
    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
    session = HandmadeSession(machine, nowhere)
    session.point(run := "8" * 32, "loss", 1, 1.0)
    session.die()
    code, said, _ = await end(await start(machine.path))
    assert code == 1
    assert f"left: session {session.id}" in said
    assert f"nothing answers at {nowhere}" in said
    waiting = await start(machine.path, silent=60)
    assert waiting.stderr is not None
    async with asyncio.timeout(DEADLINE):
        await waiting.stderr.readline()
    waiting.send_signal(signal.SIGINT)
    code, said, _ = await end(waiting)
    assert code == 130
    assert "goes on with the rest" in said
    code, said, _ = await end(await start(machine.path, "--tracking-uri", door.uri))
    assert code == 0
    assert len((await ledger.read()).records()[session.id, run]) == 1


async def test_a_sender_that_is_at_work_is_waited_for(machine, door, ledger, start_sender):
    session = HandmadeSession(machine, door.uri)
    session.point(run := "9" * 32, "loss", 1, 1.0)
    lease = Lease(machine)
    assert lease.acquire()
    sync = await start(machine.path)
    assert sync.stderr is not None
    async with asyncio.timeout(DEADLINE):
        assert b"is at work on" in await sync.stderr.readline()
    lease.release()
    start_sender()
    await until(lambda: ledger.has(session.id, run, 1), "the sender's work")
    session.die()
    assert (await end(sync))[0] == 0
