"""What the sender knows of a session reaches the disk, also one that refuses it for a while."""

import asyncio
import errno
import os
import time
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest

from runstone.events.types import Tag
from runstone.sender.adoption import Outstanding, Session
from runstone.sender.discovery import Discovery
from runstone.sender.liveness import end_session
from runstone.sender.replacing import replace_json
from runstone.sender.syncing import Syncing
from runstone.spool.layout import ACK, MachineFolder
from runstone.spool.refused import RefusedFile
from runstone.spool.segment import END, HEADER_SIZE, unpack_header
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


def saying(take):
    """A link's ``say`` whose words are acknowledged at once; *take* gets the first of each record."""

    def say(stream, *events):
        acknowledged = asyncio.get_running_loop().create_future()
        acknowledged.set_result(0)
        take(stream, events[0])
        return 0, acknowledged

    return say


async def test_what_a_killed_process_refused_is_declared_before_its_end(written):
    refused = RefusedFile(written.folder.refused)
    refused.note("a" * 32, 1, 5)
    refused.note("catalog", 0, 2)
    refused.note("b" * 32, 7, 7)
    refused.note("b" * 32, 0, 0)
    refused.close()
    session = Session(written.folder, URI)
    session.progress.note(session.tail.read().items)
    said = []
    session.link = SimpleNamespace(
        session="0" * 32, say=saying(lambda stream, event: said.append((stream, event)))
    )
    await end_session(session)
    first, second, *rest = said
    assert (first[0], second[0], [stream for stream, _event in rest]) == ("a" * 32, "a" * 32, ["catalog"])
    assert (first[1].kind, first[1].first_seq, first[1].count) == ("dropped", 1, 5)
    assert (second[1].TYPE, second[1].session) == ("session_ended", session.id)
    assert (rest[0][1].first_seq, rest[0][1].count) == (0, 2)
    session.close()


def said_of_the_end(said):
    return SimpleNamespace(session="0" * 32, say=saying(lambda _stream, event: said.append(event)))


async def test_a_process_that_dies_before_our_eyes_has_ended_then_however_late_that_is_published(tmp_path):
    written = HandmadeSession(MachineFolder(tmp_path / "machine-boot"), URI)
    written.event("a" * 32, Tag("k", "v", 1))
    session = Session(written.folder, URI)
    session.look()
    written.die()
    before = time.time_ns() // 1_000_000
    session.look()
    after = time.time_ns() // 1_000_000
    session.progress.note(session.tail.read().items)
    said = []
    session.link = said_of_the_end(said)
    while time.time_ns() // 1_000_000 == after:
        pass
    await end_session(session)
    assert before <= said[0].time <= after
    session.close()


async def test_a_process_that_nobody_saw_die_has_ended_with_its_last_record_however_that_is_dated(tmp_path):
    written = HandmadeSession(MachineFolder(tmp_path / "machine-boot"), URI)
    last = time.monotonic_ns() + 7_000_000_000
    written.event("b" * 32, Tag("k", "v", 1), mono=last)
    written.point("a" * 32, "loss", 1, 1.0, now=1)
    written.segment.put(END)
    written.die()
    header = unpack_header(written.folder.segment(1).read_bytes()[:HEADER_SIZE])
    expected = (header.created_ns + last - header.created_mono_ns) // 1_000_000
    session = Session(written.folder, URI)
    session.look()
    slab = session.tail.read(final=True)
    session.progress.note(slab.items)
    assert (session.alive, session.gone_ms, session.written_ms) == (False, 0, expected)
    session.outstanding = deque([Outstanding(slab.end, slab.size, 0)])
    session.advance()
    session.close()
    written.folder.segment(1).unlink()
    again = Session(written.folder, URI)
    again.look()
    said = []
    again.link = said_of_the_end(said)
    await end_session(again)
    assert [event.time for event in said] == [expected, expected]
    again.close()


def test_acknowledged_segments_stay_for_a_while_unless_a_process_finds_no_room(written):
    for number in (2, 3):
        written.roll()
        written.event("a" * 32, Tag("k", str(number), 1))
    session = Session(written.folder, URI)
    slabs = [session.tail.read() for _ in range(3)]
    session.progress.note(item for slab in slabs for item in slab.items)
    session.outstanding = deque(Outstanding(slab.end, slab.size, 0) for slab in slabs)
    session.advance()
    session.remove_acknowledged()
    assert written.folder.segment_numbers() == [1, 2, 3]
    session.remove_acknowledged(short=True)
    assert written.folder.segment_numbers() == [3]
    session.close()


def test_once_the_process_is_gone_and_all_is_synced_a_marker_says_so(written):
    syncing = Syncing(written.folder, 1)
    assert syncing.due((1, 0), more=True, gone=False)
    syncing.sync()
    assert not written.folder.settled.exists()
    assert not syncing.due((1, 0), more=False, gone=False)
    assert syncing.due((1, 0), more=False, gone=True)
    syncing.sync()
    assert written.folder.settled.exists()
    assert not syncing.due((1, 0), more=False, gone=True)


async def test_an_end_that_the_disk_has_no_room_to_remember_is_published_later(written):
    session = Session(written.folder, URI)
    session.progress.note(session.tail.read().items)
    said = []
    session.link = SimpleNamespace(
        session="0" * 32, say=saying(lambda stream, event: said.append((stream, event.session)))
    )
    session.ending = True
    written.folder.ended.touch()
    await end_session(session)
    assert (session.ending, session.ended, said) == (False, False, [])
    written.folder.ended.unlink()
    await end_session(session)
    assert (session.ended, said) == (True, [("a" * 32, session.id)])
    session.close()


async def test_an_end_that_was_published_is_remembered_later_and_not_published_again(written, tmp_path):
    session = Session(written.folder, URI)
    session.progress.note(session.tail.read().items)
    said = []
    session.link = SimpleNamespace(
        session="0" * 32, say=saying(lambda stream, event: said.append((stream, event.session)))
    )
    written.folder.ended.mkdir()
    marker = written.folder.ended / ("a" * 32)
    marker.symlink_to(tmp_path / "none" / "file")
    for _again in range(3):
        await end_session(session)
        assert (session.ended, session.broken, said) == (False, True, [("a" * 32, session.id)])
    marker.unlink()
    await end_session(session)
    assert (session.ended, marker.exists(), said) == (True, True, [("a" * 32, session.id)])
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
    discovery = Discovery([written.machine])
    assert list(discovery.found(lambda _bound: 1)) == []
    written.folder.json.write_bytes(told)
    assert list(discovery.found(lambda _bound: 1)) == []
    (session,) = discovery.found(lambda _bound: 1, surely=True)
    session.close()
    discovery.close()
