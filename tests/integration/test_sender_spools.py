"""Which spools a sender serves, how senders follow one another, and what they outlive."""

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import venv
from pathlib import Path

import aiokafka
import filelock
import orjson
import pytest

import runstone
from runstone.events.identity import new_run_id
from runstone.events.types import RangeDeclared, RunStarted, SessionEnded, Tag
from runstone.sender import service, waking
from runstone.sender.lease import Lease
from runstone.sender.service import Service
from runstone.spool import launch
from runstone.spool.layout import MachineFolder, this_machine
from runstone.spool.session import Session
from runstone_local.ports import free_ports
from tests.black_hole import BlackHole
from tests.faults.scale import times
from tests.fix_delivery import DEADLINE, until
from tests.handmade_spool import HandmadeSession

STARTED = RunStarted(0, "Default", "a run", 1)

FIFTY = """
import os, sys
from pathlib import Path
from runstone.sender.process import send
gate, go = os.pipe()
for _ in range(50):
    if not os.fork():
        os.close(go)
        os.read(gate, 1)
        os._exit(send(Path(sys.argv[1])))
os.close(gate)
os.close(go)
for _ in range(49):
    pid, status = os.wait()
    assert status == 0, status
print("one is left", flush=True)
pid, status = os.wait()
sys.exit(os.waitstatus_to_exitcode(status))
"""


async def test_of_fifty_senders_that_start_at_the_same_instant_one_stays(machine, door, ledger):
    session = HandmadeSession(machine, door.uri)
    session.event(run := new_run_id(), STARTED)
    senders = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FIFTY, str(machine.path), stdout=subprocess.PIPE
    )
    assert senders.stdout is not None
    async with asyncio.timeout(DEADLINE):
        assert await senders.stdout.readline() == b"one is left\n"
    await until(lambda: ledger.has(session.id, run, 1), "the record")
    session.die()
    async with asyncio.timeout(DEADLINE):
        assert await senders.wait() == 0, "the one that stayed leaves when it is idle"


async def test_what_kin_left_is_delivered_and_strangers_are_not_touched(machine, door, start_sender, ledger):
    """Kin: an earlier boot of this machine, and a container of this boot that shared the volume."""
    run = new_run_id()
    left = {
        name: HandmadeSession(MachineFolder(machine.path.with_name(name)), door.uri, alive=False)
        for name in ("machine-earlier", "container-boot", "stranger-earlier")
    }
    for session in left.values():
        session.event(run, STARTED)
    lives = HandmadeSession(left["container-boot"].machine, door.uri)
    lives.event(run, STARTED)
    start_sender()

    async def both():
        return len((await ledger.read()).said(SessionEnded)) >= 2

    await until(both, "both ends")
    found = {session for session, _stream in ledger.records()}
    assert found & {session.id for session in (*left.values(), lives)} == {
        left["machine-earlier"].id, left["container-boot"].id,
    }  # fmt: skip
    lease = Lease(lives.machine)
    await until(lambda: lease.acquire(patience=0), "the container's folder is given back")
    lease.release()
    for session in (*left.values(), lives):
        session.die()


async def test_nothing_is_left_behind_by_a_sender_that_leaves_while_a_client_begins(
    tmp_path, door, ledger, monkeypatch
):
    """Clients live for moments, at random instants around a sender's leaving; real ones, but for the launch."""
    machine = this_machine(tmp_path / "spool")
    machine.make()
    monkeypatch.setattr(service, "IDLE", 0.02)
    monkeypatch.setattr(service, "PERIOD", 0.02)
    monkeypatch.setattr(waking, "RECHECK", 0.02)
    monkeypatch.setattr(launch, "PAUSE_S", 0.0)
    wanted = asyncio.Event()
    loop = asyncio.get_running_loop()

    def start(_self):
        loop.call_soon_threadsafe(wanted.set)

    monkeypatch.setattr(launch.Launcher, "_launch", start)
    rounds = times(40, 1000)
    written: list[tuple[str, str]] = []

    def clients() -> None:
        for _ in range(rounds):
            session = Session(machine.path.parent, door.uri, limit=1 << 30, offline=False)
            stream = session.writer.stream(run := new_run_id())
            session.writer.event(stream, STARTED)
            written.append((session.session, run))
            session.finish()
            session.forget()  # its locks are free, as when its process is gone
            time.sleep(random.uniform(0, 0.2))

    threading.Thread(target=clients, daemon=True).start()
    senders = 0
    while len(written) < rounds or wanted.is_set():
        try:
            async with asyncio.timeout(1):
                await wanted.wait()
        except TimeoutError:
            continue
        wanted.clear()
        lease = Lease(machine)
        if await asyncio.to_thread(lease.acquire):
            await Service([lease], {}).run()
            senders += 1
    await ledger.read()
    assert {(s, r) for s, r in ledger.records() if (s, r) in set(written)} == set(written)
    assert senders > rounds / 10, "the senders left so seldom that nothing was tested"


async def test_a_destination_that_is_away_holds_up_no_other(machine, door, start_sender, ledger, far_kafka):
    """Away in the worst way: its server answers, its broker accepts connections and says nothing."""
    way = BlackHole(("127.0.0.1", far_kafka[1]))
    await way.start(*far_kafka)
    way.swallow()
    away = type(door)(door.topics, door.root)
    away.bootstrap = f"{far_kafka[0]}:{far_kafka[1]}"
    await away.start()
    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
    for uri in (*[nowhere] * 70, door.uri):
        orphan = HandmadeSession(machine, uri)
        orphan.point("4" * 32, "loss", 1, 1.0)
        orphan.die()
    stuck = [HandmadeSession(machine, away.uri) for _ in range(30)]
    for session in stuck:
        for i in range(10_000):
            session.point("5" * 32, "loss", i, 1.0)
    start_sender()
    await until(lambda: way.accepted, "the sender tries the silent broker")
    well = HandmadeSession(machine, door.uri)
    for i in range(20_000):
        well.point("6" * 32, "loss", i, 1.0)
    await until(lambda: ledger.has(well.id, "6" * 32, 20_000), "what goes elsewhere", deadline=10)
    await until(lambda: ledger.has(orphan.id, "4" * 32, 1), "the orphan behind all those for another server")
    assert not any(session.folder.ack.exists() for session in stuck)
    for session in (*stuck, well):
        session.die()
    await away.stop()
    await way.close()


TRAINING = """
import time, runstone
run = runstone.start_run()
step = 0
while True:
    runstone.log_metric("loss", 1.0, step=step)
    step += 1
    time.sleep(0.05)
"""


async def test_a_client_starts_another_sender_when_its_own_has_crashed(tmp_path, door):
    environment = os.environ | {
        "RUNSTONE_SPOOL": str(tmp_path / "spool"),
        "RUNSTONE_TRACKING_URI": door.uri,
        "RUNSTONE_QUIET": "1",
    }
    training = await asyncio.create_subprocess_exec(sys.executable, "-c", TRAINING, env=environment)

    def sender():
        return [orjson.loads(note.read_bytes())["pid"] for note in tmp_path.glob("spool/*/sender.json")]

    def acknowledged():
        return [ack.read_bytes() for ack in tmp_path.glob("spool/*/sessions/*/ack")]

    try:
        (first,) = await until(sender, "a sender")
        await until(acknowledged, "it works")
        os.kill(first, signal.SIGKILL)
        await until(lambda: [pid for pid in sender() if pid != first], "another sender")
        before = acknowledged()
        await until(lambda: acknowledged() != before, "the other one works")
    finally:
        training.kill()
        await training.wait()


OTHER_FORMAT = """
import runstone
from runstone.spool import layout, segment
layout.FORMAT = segment.FORMAT = {number}
runstone.start_run()
"""


async def test_versions_with_different_formats_log_side_by_side(tmp_path):
    environment = os.environ | {"RUNSTONE_SPOOL": str(tmp_path), "RUNSTONE_OFFLINE": "1"}
    for number in (1, 2, 1):
        code = OTHER_FORMAT.format(number=number)
        logging = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, env=environment, stderr=subprocess.PIPE
        )
        _, complained = await logging.communicate()
        assert b"warning" not in complained
    ours, theirs = sorted(tmp_path.iterdir(), key=lambda path: path.name.startswith("format2-"))
    assert ours == this_machine(tmp_path).path
    assert [(path / "format").read_text() for path in (ours, theirs)] == ["1", "2"]
    assert [len(list(path.glob("sessions/*/session.json"))) for path in (ours, theirs)] == [2, 1]


KILLED_AT_ONCE = """
import os, signal, runstone
run = runstone.start_run()
runstone.log_metric("loss", 1.0)
print(run.run_id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_what_a_process_logged_that_is_killed_at_once_is_delivered(tmp_path, door, ledger):
    """Nobody else is there: it is the killed process that must have started the sender."""
    runs = []
    for i in range(times(3, 200)):
        environment = os.environ | {
            "RUNSTONE_SPOOL": str(tmp_path / f"spool {i}"),
            "RUNSTONE_TRACKING_URI": door.uri,
            "RUNSTONE_QUIET": "1",
        }
        training = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KILLED_AT_ONCE, env=environment, stdout=subprocess.PIPE
        )
        said, _ = await training.communicate()
        runs.append(said.decode().strip())

    async def all_failed():
        await ledger.read()
        ended = {s for (_, s), found in ledger.records().items() if _ends(found)}
        return ended >= set(runs)

    await until(all_failed, "the points and the ends")


def _ends(records):
    return any(
        isinstance(content, SessionEnded) and content.status == "FAILED" for content in records.values()
    )


WATCH = """
import sys
class Watch:
    '''Takes down what the sender imports once it works.'''
    def find_spec(self, name, path=None, target=None):
        process = sys.modules.get("runstone.sender.process")
        if hasattr(process, "_log_to"):
            with open({log!r}, "a") as log:
                print(name, file=log)
sys.meta_path.insert(0, Watch())
"""


def environment_of_its_own(folder: Path, version: str, log: Path) -> Path:
    """A virtual environment with a copy of the client, which calls itself *version*; its Python."""
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    here = Path(aiokafka.__file__).parents[1]
    shutil.copytree(Path(runstone.__file__).parent, site / "runstone")
    for package in (aiokafka, orjson, filelock):
        folder_of = Path(package.__file__).parent
        shutil.copytree(folder_of, site / folder_of.name)
    for name in ("async_timeout", "typing_extensions.py", "packaging"):
        if (here / name).is_dir():
            shutil.copytree(here / name, site / name)
        elif (here / name).exists():
            shutil.copy(here / name, site / name)
    (site / "runstone" / "_version.py").write_text(f'__version__ = "{version}"\n')
    (site / "sitecustomize.py").write_text(WATCH.format(log=str(log)))
    return folder / "bin" / "python"


async def test_a_sender_of_another_version_outlives_its_virtual_environment(machine, door, ledger, tmp_path):
    log = tmp_path / "imported"
    python = await asyncio.to_thread(environment_of_its_own, tmp_path / "venv", "99.0.0", log)
    port, door.port = door.port, 0
    await door.stop()
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    sender = await asyncio.create_subprocess_exec(
        python, "-m", "runstone.sender", "--foreground", "--spool", machine.path, env=bare, cwd="/"
    )
    try:
        await until(machine.sender_json.exists, "the sender")
        assert json.loads(machine.sender_json.read_bytes())["version"] == "99.0.0"
        await asyncio.to_thread(shutil.rmtree, tmp_path / "venv")
        uri = f"http://localhost:{port}"
        session = HandmadeSession(machine, uri)
        session.event(run := new_run_id(), STARTED)
        session.upload(run, "model.pkl", b"x" * 100_000)
        session.upload(run, "../outside", b"x")
        for i in range(100):
            session.point(run, "loss", i, 1.0)
        os.pwrite(session.segment.file, b"\xff", session.segment.positions[-50] + 40)
        session.event(run, Tag("large", "x" * 5000, 1))
        session.wake()
        note = machine.destination(uri)
        await until(note.exists, "nothing answers")
        assert "nothing answers" in orjson.loads(note.read_bytes())["finding"]
        door.port = port
        await door.start()
        await until(lambda: ledger.has(session.id, run, 50), "what comes before the damage")
        await until(lambda: any(session.folder.uploads.glob("*.done")), "the artifact")
        session.die()

        async def ended():
            return (await ledger.read()).said(SessionEnded)

        await until(ended, "the end")
        assert [(e.first_seq, e.count) for e in ledger.said(RangeDeclared)] == [(51, 1)]
        async with asyncio.timeout(DEADLINE):
            assert await sender.wait() == 0
        assert not log.exists(), f"imported after the start: {log.read_text().split()}"
    finally:
        if sender.returncode is None:
            sender.kill()
            await sender.wait()
        print(machine.sender_log.read_text())


@pytest.mark.parametrize("fault", [RuntimeError("a mistake of ours"), OSError(5, "the disk")])
async def test_a_sender_that_fails_begins_again_by_itself(machine, fault):
    code = f"""
import sys
from pathlib import Path
from runstone.sender import process, service
process.STAYED = 0.0
whole, failed = service.Service.run, []
async def run(self, *args):
    if not failed:
        failed.append(1)
        await self._close()
        raise {fault!r}
    await whole(self, *args)
service.Service.run = run
service.IDLE = 0.1
sys.exit(process.send(Path(sys.argv[1])))
"""
    sender = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(machine.path))
    async with asyncio.timeout(DEADLINE):
        assert await sender.wait() == 0
    said = machine.sender_log.read_text()
    assert str(fault) in said
    assert said.index("begins again") < said.index("nothing to do: leaving")
