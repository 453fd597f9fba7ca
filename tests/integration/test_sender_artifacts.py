"""Files reach the store once and whole, whoever is killed or away meanwhile, and only then their pointers."""

import asyncio
import hashlib
import os
import signal

import orjson
import pytest

from runstone.events.artifact_paths import MARKER
from runstone.events.identity import new_run_id
from runstone.events.types import Artifact, RunStarted, SessionEnded
from tests.fix_delivery import until
from tests.handmade_spool import HandmadeSession

STARTED = RunStarted(7, "An experiment", "a run", 1)
RUN = new_run_id()


@pytest.fixture
def session(machine, door):
    made = HandmadeSession(machine, door.uri)
    made.event(RUN, STARTED)
    yield made
    made.die()


def waiting(session) -> list[str]:
    return [path.name for path in session.folder.uploads.iterdir() if path.suffix in {".json", ".data"}]


def stored(door) -> dict[str, bytes]:
    root = door.root / "7" / RUN / "artifacts"
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


async def pointers(ledger) -> dict[str, list[str]]:
    """The hashes of the pointers of each path, in order."""
    found: dict[str, list[str]] = {}
    for pointer in (await ledger.read()).said(Artifact):
        found.setdefault(pointer.path, []).append(pointer.sha256)
    return found


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("size", [1000, 3_000_000])
async def test_a_file_whose_answer_was_lost_with_its_sender_is_not_sent_again(
    door, start_sender, session, ledger, size
):
    content = os.urandom(size)
    door.answering.clear()
    first = start_sender()
    session.upload(RUN, "model.pkl", content, "00000001-a")
    await until(lambda: "model.pkl" in stored(door), "the file in the store")
    first.kill()
    first.wait()
    assert await pointers(ledger) == {}, "the pointer comes after the answer"
    door.answering.set()
    start_sender()
    await until(session.folder.upload_done("00000001-a").exists, "the upload")
    assert door.puts == 1
    assert await pointers(ledger) == {"model.pkl": [sha256(content)]}
    assert stored(door) == {"model.pkl": content}


@pytest.mark.parametrize("visible", [True, False], ids=["folder", "gateway"])
async def test_senders_killed_at_any_instant_lose_and_damage_nothing(
    door, start_sender, session, ledger, visible
):
    if visible:
        (door.root / MARKER).write_text(door.installation)
    expected = {}
    for number in range(60):
        path = f"checkpoints/{number % 40}"  # twenty of them twice: the last one wins
        expected[path] = content = os.urandom(50_000 if number % 10 else 4_000_000)
        session.upload(RUN, path, content, f"{number:08}-a")
    for done in (1, 7, 20, 40):
        process = start_sender()
        await until(lambda n=done: len(list(session.folder.uploads.glob("*.done"))) >= n, f"{done} files")
        process.send_signal(signal.SIGKILL)
        process.wait()
    start_sender()
    await until(lambda: not waiting(session), "an empty spool")
    assert stored(door) == expected
    told = await pointers(ledger)
    assert {path: hashes[-1] for path, hashes in told.items()} == {
        path: sha256(content) for path, content in expected.items()
    }


async def test_files_wait_for_a_store_that_is_away_and_arrive_when_it_comes(
    door, start_sender, session, ledger
):
    await door.stop()
    expected = {f"many/{n}": os.urandom(100) for n in range(200)}
    for number, (path, content) in enumerate(expected.items()):
        session.upload(RUN, path, content, f"{number:08}-a")
    start_sender()
    await until(lambda: any(session.machine.destinations.iterdir()), "the sender knows that it is away")
    assert len(waiting(session)) == 400
    await door.start()
    await until(lambda: not waiting(session), "an empty spool")
    assert stored(door) == expected
    assert await pointers(ledger) == {path: [sha256(content)] for path, content in expected.items()}
    assert door.puts == len(expected)


async def test_a_large_file_that_the_store_will_refuse_is_not_sent_at_all(
    door, start_sender, session, machine
):
    start_sender()
    session.upload(RUN, "a", b"a file", "00000001-a")
    data = session.folder.upload_data("00000002-a")
    with data.open("wb") as sparse:
        sparse.truncate(64 << 20)
    order = {
        "id": "00000002-a", "run_id": RUN, "experiment_id": 7, "path": "a/b", "size": 64 << 20,
        "media_type": "", "time_ms": 1,
    }  # fmt: skip
    temporary = session.folder.uploads / ".new"
    temporary.write_bytes(orjson.dumps(order))
    temporary.rename(session.folder.upload_json("00000002-a"))
    await until(session.folder.upload_rejected("00000002-a").exists, "the refusal")
    assert door.puts == 1
    assert [path.stat().st_size for path in machine.rejected.glob("*.data")] == [64 << 20]


async def test_half_a_copy_of_a_killed_training_is_no_artifact(door, start_sender, session, ledger):
    session.folder.upload_data("00000001-a").write_bytes(b"half")
    process = start_sender()
    session.folder.cause.write_bytes(bytes([signal.SIGKILL]).ljust(64, b"\0"))
    await until(lambda: ledger.has(session.id, RUN, 1), "the run")
    assert process.poll() is None
    assert not (await ledger.read()).said(SessionEnded)
    assert (await pointers(ledger), stored(door)) == ({}, {})


async def test_a_small_file_does_not_wait_for_a_large_one(door, start_sender, session):
    start_sender()
    door.answering.clear()
    session.upload(RUN, "large", os.urandom(5_000_000), "00000001-a")
    await until(lambda: door.puts == 1, "the large file on its way")
    (door.root / MARKER).write_text(door.installation)  # the next one takes another way
    session.upload(RUN, "small", b"small", "00000002-a")
    await until(session.folder.upload_done("00000002-a").exists, "the small file")
    assert not session.folder.upload_done("00000001-a").exists()
    door.answering.set()
    await asyncio.sleep(0)
    await until(session.folder.upload_done("00000001-a").exists, "the large file")
