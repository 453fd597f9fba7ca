"""Following a session over its segments, from the beginning or from any acknowledged position."""

import errno
import os
import resource
import struct
import zlib

import pytest

from runstone.events.types import Param, RunStarted
from runstone.sender.tail import Position, Tail
from runstone.spool.layout import MachineFolder
from runstone.spool.reader import Damage, PointRun
from runstone.spool.segment import END, HEADER_SIZE
from tests.handmade_spool import HandmadeSession

RUN = "a" * 32
BEGINNING = Position(1, HEADER_SIZE)


@pytest.fixture
def session(tmp_path):
    found = HandmadeSession(MachineFolder(tmp_path / "m-b"), "http://x")
    found.event(RUN, RunStarted(0, "Default", "x", 1))
    yield found
    found.die()


def follow(session, start=BEGINNING, *, final=False):
    """Slabs until there is nothing more, as [(seqs, end)], and the tail."""
    tail = Tail(session.folder, start, lambda _items: None)
    slabs = []
    while slab := tail.read(final=final):
        seqs = []
        for item in slab.items:
            if isinstance(item, Damage):
                seqs.append("damage")
            else:
                seqs += range(item.first_seq, item.first_seq + item.n)
        slabs.append((seqs, slab.end))
    return slabs, tail


def seqs_of(slabs):
    return [seq for seqs, _end in slabs for seq in seqs]


def test_reading_can_go_on_behind_any_slab(session):
    for i in range(5000):
        session.point(RUN, f"k{i % 7}", i, float(i))
        if i % 1000 == 999:
            session.event(RUN, Param(f"p{i}", "x", 1))
        if i in {1500, 1501, 4000}:
            session.roll()
    slabs, tail = follow(session)
    assert seqs_of(slabs) == list(range(session.seqs[RUN]))
    assert slabs[-1][1] == (session.number, session.segment.at)
    tail.close()
    for at, (_seqs, end) in enumerate(slabs):
        rest, tail = follow(session, end)
        tail.close()
        assert seqs_of(rest) == seqs_of(slabs[at + 1 :])


def test_the_names_of_series_are_known_when_reading_goes_on_in_the_middle(session):
    session.point(RUN, "loss", 0, 1.0)
    slabs, tail = follow(session)
    tail.close()
    session.point(RUN, "loss", 1, 2.0)
    tail = Tail(session.folder, slabs[-1][1], lambda _items: None)
    (run,) = tail.read().items
    assert isinstance(run, PointRun)
    assert [run.names[key] for key in run.keys] == [b'"loss"']
    tail.close()


def test_a_live_session_is_never_finished_and_a_dead_one_is_at_its_end(session):
    slabs, tail = follow(session)
    assert not tail.finished
    assert tail.read(final=True) is None or tail.read(final=True) is None
    assert tail.finished
    assert slabs[-1][1] == (1, session.segment.at)
    tail.close()


def test_a_segment_that_is_gone_is_damage_between_its_neighbours(session):
    for number in (2, 3):
        session.roll()
        session.point(RUN, "loss", number, 1.0)
    session.folder.segment(2).unlink()
    slabs, tail = follow(session, final=True)
    assert seqs_of(slabs) == [0, "damage", 2]
    assert tail.finished


def test_a_segment_whose_first_page_is_damaged_is_passed_over(session):
    os.pwrite(session.segment.file, bytes(4096), 0)
    session.roll()
    session.point(RUN, "loss", 0, 1.0)
    slabs, _tail = follow(session, final=True)
    assert seqs_of(slabs) == ["damage", 1]


def test_a_header_of_which_only_one_half_is_damaged_costs_nothing(session):
    os.pwrite(session.segment.file, bytes(2048), 0)
    slabs, _tail = follow(session, final=True)
    assert seqs_of(slabs) == [0]


def test_a_segment_of_a_newer_format_is_kept_for_a_program_that_knows_it(session):
    page = bytearray(os.pread(session.segment.file, 4000, 0))
    page[8] = 2
    os.pwrite(session.segment.file, page, 0)
    os.pwrite(session.segment.file, struct.pack("<I", zlib.crc32(page)), 4092)
    tail = Tail(session.folder, BEGINNING, lambda _items: None)
    with pytest.raises(OSError, match="format 2"):
        tail.read(final=True)


def test_damage_does_not_hold_up_a_process_that_has_gone_on_to_the_next_segment(session):
    for i in range(20):
        session.point(RUN, "loss", i, 1.0)
    os.pwrite(session.segment.file, b"\xff", session.segment.positions[-5] + 40)
    assert seqs_of(follow(session)[0]) == list(range(16))
    session.segment.put(END)
    session.number += 1
    session.segment = session._segment()
    assert seqs_of(follow(session)[0]) == list(range(16)), "the new segment has no record yet"
    session.point(RUN, "loss", 20, 1.0)
    assert seqs_of(follow(session)[0]) == [*range(16), "damage", *range(17, 22)]


def test_a_hole_that_reaches_beyond_the_acknowledged_position_is_damage(session):
    for i in range(20):
        session.point(RUN, "loss", i, 1.0)
    positions = session.segment.positions
    os.pwrite(session.segment.file, bytes(480), positions[5])
    slabs, _tail = follow(session, Position(1, positions[10]), final=True)
    assert seqs_of(slabs)[0] == "damage"


def test_a_last_segment_whose_first_page_is_damaged_is_told(session):
    session.roll()
    session.point(RUN, "loss", 0, 1.0)
    os.pwrite(session.segment.file, bytes(4096), 0)
    slabs, tail = follow(session, final=True)
    assert (seqs_of(slabs), tail.finished) == ([0, "damage"], True)
    again, tail = follow(session, slabs[-1][1], final=True)
    assert (seqs_of(again), tail.finished) == ([], True)


def test_a_segment_that_cannot_be_opened_now_is_not_taken_for_lost(session):
    session.event(RUN, Param("in the first segment", "x", 1))
    session.roll()
    session.event(RUN, Param("in the second", "x", 1))
    tail = Tail(session.folder, BEGINNING, lambda _items: None)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            tail.read(final=True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (tail.position, tail.finished) == (BEGINNING, False)
    assert [seq for seqs, _end in follow(session, final=True)[0] for seq in seqs] == [0, 1, 2]
    assert [item.first_seq for item in tail.read(final=True).items] == [0, 1]


def test_a_page_that_the_disk_does_not_give_any_more_is_a_hole_after_a_while(session, monkeypatch):
    for i in range(300):
        session.point(RUN, "loss", i, 1.0)
    lost = [i for i, at in enumerate(session.segment.positions) if at + 48 > 8192 and at < 12288]
    pread, bad = os.pread, range(8192, 12288)

    def failing(descriptor, length, at):
        if at < bad.stop and at + length > bad.start and os.fstat(descriptor).st_size == session.segment.size:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return pread(descriptor, length, at)

    monkeypatch.setattr(os, "pread", failing)
    tail = Tail(session.folder, BEGINNING, lambda _items: None)
    for patience in (60, -1):
        monkeypatch.setattr("runstone.sender.tail.PATIENCE", patience)
        with pytest.raises(OSError, match="Input/output"):
            tail.read(final=True)
    read = []
    while slab := tail.read(final=True):
        read += slab.items
    tail.close()
    monkeypatch.undo()
    seqs = [
        seq
        for item in read
        if not isinstance(item, Damage)
        for seq in range(item.first_seq, item.first_seq + item.n)
    ]
    assert len(lost) > 80
    # the stream, the run's start, the key, then the points
    assert seqs == [0, *(i - 2 for i in range(3, len(session.segment.positions)) if i not in lost)]
