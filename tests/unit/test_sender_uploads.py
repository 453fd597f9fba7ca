"""Artifacts leave the spool in the order of the calls; what the store refuses is kept aside."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

from runstone.events.artifact_paths import MARKER
from runstone.sender.adoption import Session
from runstone.sender.connect import Connect
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
    with ThreadPoolExecutor(1) as executor:
        uploads = Uploads(written.machine, executor)
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
    assert not list(written.folder.uploads.glob("0*2-b.*"))
