"""Artifacts leave the spool in the order of the calls; what the store refuses is kept aside."""

import asyncio
import fcntl
import hashlib
import os
import time
from pathlib import Path

import orjson
import pytest

from runstone.events.artifact_paths import MARKER
from runstone.sender.adoption import Session
from runstone.sender.connect import Connect
from runstone.sender.copying import Folder
from runstone.sender.storing import Order
from runstone.sender.uploads import Uploads
from runstone.spool.layout import MachineFolder
from tests.handmade_spool import HandmadeSession

URI = "http://127.0.0.1:1"
RUN = "a" * 32


class Link:
    """Takes pointers, each acknowledged at once."""

    session = "b" * 32

    def __init__(self, root):
        root.mkdir()
        (root / MARKER).write_text("installation-a")
        self.connect = Connect("installation-a", "", "events", "catalog", 1, root.as_uri(), URI)
        self.said = []

    def say(self, _stream, event):
        acknowledged = asyncio.get_running_loop().create_future()
        acknowledged.set_result(0)
        self.said.append(event)
        return len(self.said) - 1, acknowledged


@pytest.fixture
def written(tmp_path):
    found = HandmadeSession(MachineFolder(tmp_path / "machine-boot"), URI)
    yield found
    found.die()


async def uploaded(written, root):
    """What is published of the uploads that lie there."""
    session = Session(written.folder, URI)
    session.link = link = Link(root)
    uploads = Uploads(written.machine)
    uploads.look(session)
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()}, timeout=10)
    await uploads.close()
    session.close()
    return link.said


async def test_the_last_file_of_a_path_wins_whatever_the_clock_said_meanwhile(written, tmp_path):
    for upload, content, time_ms in (("00000001-b", b"first", 2_000), ("00000002-a", b"second", 1_000)):
        written.upload(RUN, "model.pkl", content, upload)
        order = written.folder.upload_json(upload)
        order.write_bytes(orjson.dumps(orjson.loads(order.read_bytes()) | {"time_ms": time_ms}))
    said = await uploaded(written, tmp_path / "store")
    assert [pointer.size for pointer in said] == [5, 6]
    (stored,) = (tmp_path / "store").rglob("model.pkl")
    assert stored.read_bytes() == b"second"


async def test_the_content_of_a_refused_upload_is_kept_beside_its_order(written, tmp_path):
    written.upload(RUN, "a", b"a file", "00000001-a")
    written.upload(RUN, "a/b", b"in a folder of the same name", "00000002-b")
    assert [pointer.path for pointer in await uploaded(written, tmp_path / "store")] == ["a"]
    kept = {path.suffix: path.read_bytes() for path in written.machine.rejected.iterdir()}
    assert kept[".data"] == b"in a folder of the same name"
    assert "is a file and a folder" in orjson.loads(kept[".json"])["reason"]
    assert [path.name for path in written.folder.uploads.glob("0*2-b.*")] == ["00000002-b.rejected"]


async def test_the_client_is_told_of_a_refused_upload_and_where_its_content_is(written, tmp_path):
    written.upload(RUN, "a", b"a file", "00000001-a")
    written.upload(RUN, "a/b", b"in a folder of the same name", "00000002-b")
    await uploaded(written, tmp_path / "store")
    told = orjson.loads(written.folder.upload_rejected("00000002-b").read_bytes())
    assert told["path"] == "a/b"
    assert "is a file and a folder" in told["reason"]
    [kept] = written.machine.rejected.glob("*.data")
    assert told["kept"] == str(kept)
    assert kept.read_bytes() == b"in a folder of the same name"


async def test_a_refused_upload_without_order_or_content_is_told_of_as_well(written, tmp_path):
    written.folder.upload_json("00000001-a").write_bytes(b"no order")
    await uploaded(written, tmp_path / "store")
    told = orjson.loads(written.folder.upload_rejected("00000001-a").read_bytes())
    assert (told["path"], told["kept"]) == (None, None)
    assert "cannot be understood" in told["reason"]


async def test_a_refusal_that_cannot_be_told_yet_keeps_its_reason_and_content(written, tmp_path):
    written.upload(RUN, "../outside", b"content", "00000001-a")
    in_the_way = written.folder.upload_rejected("00000001-a")
    in_the_way.mkdir()

    async def clear_the_way_once_it_is_put_aside():
        deadline = time.monotonic() + 10
        while not list(written.machine.rejected.glob("*.json")):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        assert written.folder.upload_json("00000001-a").exists()
        in_the_way.rmdir()

    clearing = asyncio.create_task(clear_the_way_once_it_is_put_aside())
    await uploaded(written, tmp_path / "store")
    clearing.result()
    told = orjson.loads(in_the_way.read_bytes())
    assert "stays within the run" in told["reason"]
    [kept] = written.machine.rejected.glob("*.data")
    assert (told["kept"], kept.read_bytes()) == (str(kept), b"content")
    assert [path.name for path in written.folder.uploads.iterdir()] == [in_the_way.name]


async def test_what_waits_because_nobody_answers_survives_the_machine(written, monkeypatch):
    written.upload(RUN, "a", b"a file", "00000001-a")
    synced = set()
    real = os.fsync

    def noting(file):
        synced.add(os.fstat(file).st_ino)
        real(file)

    monkeypatch.setattr(os, "fsync", noting)
    session, uploads = Session(written.folder, URI), Uploads(written.machine)

    async def all_synced():
        deadline = time.monotonic() + 10
        while (
            not {path.stat().st_ino for path in (written.folder.uploads, *written.folder.uploads.iterdir())}
            <= synced
        ):
            assert time.monotonic() < deadline
            uploads.look(session)
            await asyncio.sleep(0.01)

    await all_synced()
    written.upload(RUN, "b", b"another", "00000002-a")
    await all_synced()
    await uploads.close()
    session.close()


async def test_a_thousand_files_keep_their_order_where_it_matters(written, tmp_path):
    for number in range(1000):
        written.upload(RUN, f"f{number % 300}", str(number).encode(), f"{number:08}-a")
    said = await uploaded(written, tmp_path / "store")
    assert len(said) == 1000
    stored = {path.name: path.read_bytes() for path in (tmp_path / "store" / "7").rglob("f*")}
    assert stored == {f"f{n}": str(n + 900 if n < 100 else n + 600).encode() for n in range(300)}
    assert {pointer.path: pointer.sha256 for pointer in said} == {
        name: hashlib.sha256(content).hexdigest() for name, content in stored.items()
    }


def test_what_a_killed_sender_left_in_the_store_is_written_over_and_two_at_once_do_not_mix(tmp_path):
    order = Order("00000001-abcdef01", RUN, 7, "a/model", 9, "", 1)
    data = tmp_path / "data"
    data.write_bytes(b"the model")
    folder = Folder(tmp_path / "store")
    folder.root.mkdir()
    stored = folder.store(order, data, doubtful=False)
    place = Path(stored.uri.removeprefix("file://"))
    left = place.with_name(".00000001-abcdef01.0.part")
    left.write_bytes(b"left by a sender that was killed")
    with left.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="another sender is storing it"):
            folder.store(order, data, doubtful=False)
    assert place.read_bytes() == b"the model"
    assert folder.store(order, data, doubtful=False) == stored
    assert [path.name for path in place.parent.iterdir()] == ["model"]
    assert place.read_bytes() == b"the model"
    before = place.stat().st_ino
    assert folder.store(order, data, doubtful=True) == stored
    assert place.stat().st_ino == before, "what is there already is not written again"


async def test_why_files_wait_is_told_after_a_while_until_they_do_not(written, tmp_path, monkeypatch):
    monkeypatch.setattr("runstone.sender.uploads.TOLD_AFTER", 0.0)
    written.upload(RUN, "a", b"a file", "00000001-a")
    session, uploads = Session(written.folder, URI), Uploads(written.machine)
    session.link = Link(tmp_path / "store")
    (tmp_path / "store" / MARKER).unlink()  # so that it goes by the gateway, where nobody answers
    assert uploads.finding(URI) is None

    async def told(expected):
        deadline = time.monotonic() + 10
        while bool(uploads.finding(URI)) != expected:
            assert time.monotonic() < deadline
            uploads.look(session)
            await asyncio.sleep(0.01)

    await told(True)
    assert "artifacts for http://127.0.0.1:1 wait in the spool: [Errno 111]" in uploads.finding(URI)
    (tmp_path / "store" / MARKER).write_text("installation-a")
    await told(False)
    await uploads.close()
    session.close()
