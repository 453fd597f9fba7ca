"""What the sender knows of a session reaches the disk, also one that refuses it for a while."""

import asyncio
import errno
import os
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest

from runstone.events.types import Tag
from runstone.sender.adoption import Adoption, Outstanding, Session
from runstone.sender.liveness import end_session
from runstone.sender.replacing import replace_json
from runstone.spool.layout import ACK, MachineFolder
from tests.handmade_spool import HandmadeSession

URI = "http://127.0.0.1:5000"


@pytest.fixture
def written(tmp_path):
    found = HandmadeSession(MachineFolder(tmp_path / "machine-boot"), URI)
    found.event("a" * 32, Tag("k", "v", 1))
    yield found
    found.die()


def test_a_position_that_the_disk_refused_is_written_as_soon_as_it_takes_it(written):
    session = Session(written.folder, URI)
    slab = session.tail.read()
    session.progress.note(slab.items)
    session.outstanding = deque([Outstanding(slab.end, slab.size, 0)])
    in_the_way = written.folder.path / "progress.json"
    in_the_way.mkdir()
    with pytest.raises(OSError, match="directory"):
        session.advance()
    with pytest.raises(OSError, match="directory"):
        session.save()
    assert not written.folder.ack.exists()
    in_the_way.rmdir()
    session.save()
    assert ACK.unpack(written.folder.ack.read_bytes())[1:] == slab.end
    session.close()


async def test_an_end_that_the_disk_has_no_room_to_remember_is_published_later(written):
    session = Session(written.folder, URI)
    session.progress.note(session.tail.read().items)
    said = []

    def say(stream, event):
        acknowledged = asyncio.get_running_loop().create_future()
        acknowledged.set_result(0)
        said.append((stream, event.session))
        return 0, acknowledged

    session.link = SimpleNamespace(say=say)
    session.ending = True
    written.folder.ended.touch()
    await end_session(session)
    assert (session.ending, session.ended, said) == (False, False, [])
    written.folder.ended.unlink()
    await end_session(session)
    assert (session.ended, said) == (True, [("a" * 32, session.id)])
    session.close()


def test_an_installation_that_cannot_be_written_down_gets_nothing(written):
    session = Session(written.folder, URI)
    in_the_way = written.folder.path / "installation"
    in_the_way.mkdir()
    link = SimpleNamespace(connect=SimpleNamespace(installation_id="a"))
    assert (session.attach(link), session.link) == (False, None)
    in_the_way.rmdir()
    assert (session.attach(link), session.link) == (True, link)
    session.close()


def test_on_a_full_disk_a_small_file_is_written_in_place(tmp_path, monkeypatch):
    path = tmp_path / "progress.json"
    replace_json(path, {"seq": 1, "reason": "long"})

    def full(path: Path, content: bytes) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    replace_json(path, {"seq": 2})
    assert orjson.loads(path.read_bytes()) == {"seq": 2}
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError, match="No space"):
        replace_json(tmp_path / "another.json", {})


def test_a_sender_that_is_about_to_leave_sees_a_session_that_became_one_just_now(written):
    told = written.folder.json.read_bytes()
    written.folder.json.unlink()
    long_ago = 1_000_000_000
    os.utime(written.machine.sessions, ns=(long_ago, long_ago))
    adoption = Adoption(written.machine)
    assert list(adoption.found()) == []
    written.folder.json.write_bytes(told)
    assert list(adoption.found()) == []
    (session,) = adoption.found(surely=True)
    session.close()
    adoption.close()
