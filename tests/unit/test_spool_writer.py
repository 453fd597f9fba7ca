"""What was appended to a session's segments reads back, whatever its order, size and interruptions."""

import math
import os
import signal
import struct
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone.events.types import Param, SeriesKey
from runstone.exceptions import InvalidInputError, RunEndedError
from runstone.spool.allocation import SegmentFile, create_segment
from runstone.spool.layout import SessionFolder
from runstone.spool.segment import SERIES_PAYLOAD
from runstone.spool.writer import Stream, Writer
from tests.spool_contents import Record, assert_dense, events, session_records
from tests.spool_recovery import recover_segment

SESSION = "ab" * 16
SIZE = 8192


class Segments:
    """Makes small segments in a folder, as long as there is room."""

    def __init__(self, folder: Path, *, mapped: bool = True) -> None:
        self.folder = SessionFolder(folder / SESSION)
        self.folder.path.mkdir()
        self.mapped = mapped
        self.points_allowed = True
        self.reserve = 1000
        self.refused: dict[str, tuple[int, int]] = {}

    def make(self, number: int, need: int, reserved: bool) -> SegmentFile | None:
        if not self.points_allowed:
            if not reserved or not self.reserve:
                return None
            self.reserve -= 1
        size = max(SIZE, need + 4095 & ~4095)
        return create_segment(self.folder, number, size, "http://127.0.0.1:5000", self.mapped)

    def writer(self) -> Writer:
        return Writer(self.make, lambda: SESSION, lambda: None, lambda _reason: None, self.note_refused)

    def note_refused(self, stream: str, first_seq: int, n: int) -> None:
        self.refused[stream] = (first_seq, n)

    def records(self) -> list[Record]:
        return session_records(self.folder.path)


@pytest.fixture
def segments(tmp_path: Path) -> Segments:
    return Segments(tmp_path)


def declared_seqs(records: list[Record], stream: Stream) -> list[int]:
    ranges = events(records, stream.name, "range_declared")
    return [seq for r in ranges for seq in range(r["first_seq"], r["first_seq"] + r["count"])]


def same(a: float, b: float) -> bool:
    return struct.pack("<d", a) == struct.pack("<d", b)


keys = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=250)
values = st.floats(width=64)
steps = st.integers(-(2**63), 2**63 - 1)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("point"), st.integers(0, 3), keys, values, steps),
        st.tuples(st.just("event"), st.integers(0, 3), keys, st.text(st.characters(exclude_categories=("Cs",)))),
        st.tuples(st.just("series"), st.integers(0, 3), keys, st.lists(st.tuples(steps, values), max_size=300)),
    ),
    max_size=60,
)  # fmt: skip


@given(operations, st.booleans())
def test_what_was_appended_reads_back_in_order_and_bit_for_bit(tmp_path_factory, found, mapped):
    segments = Segments(tmp_path_factory.mktemp("spool"), mapped=mapped)
    writer = segments.writer()
    streams = [writer.stream(f"{i:032x}") for i in range(4)]
    for kind, which, key, *rest in found:
        if kind == "point":
            writer.point(streams[which], key, *rest)
        elif kind == "event":
            writer.event(streams[which], Param(key, rest[0], 5))
        else:
            n = len(rest[0])
            columns = struct.pack(f"<{n}q", *(s for s, _ in rest[0])) + struct.pack(
                f"<{n}d", *(v for _, v in rest[0])
            )
            writer.series(streams[which], key, SERIES_PAYLOAD.pack(n, 0) + columns)
    records = segments.records()
    assert_dense(records)
    assert len(records) == len(found)
    for (kind, which, key, *rest), record in zip(found, records, strict=True):
        assert record.stream == streams[which].name
        if kind == "point":
            assert record.key == key
            assert record.data[0] == rest[1]
            assert same(record.data[1], rest[0])
        elif kind == "event":
            assert record.data == {"type": "param", "key": key, "value": rest[0], "time": 5}
        else:
            assert record.data[0] == [s for s, _ in rest[0]]
            assert all(same(a, b) for a, (_, b) in zip(record.data[1], rest[0], strict=True))


def test_points_go_on_in_the_next_segment_when_one_is_full(segments):
    writer, n = segments.writer(), 1000
    stream = writer.stream("a" * 32)
    for i in range(n):
        writer.point(stream, f"key {i % 7}", i / 3, i)
    records = segments.records()
    assert_dense(records)
    assert [r.data for r in records] == [(i, i / 3) for i in range(n)]
    assert len(list(segments.folder.path.glob("*.seg"))) > 5


def test_a_record_larger_than_a_segment_gets_one_that_holds_it(segments):
    writer = segments.writer()
    stream = writer.stream("a" * 32)
    writer.point(stream, "k", 1.0, 0)
    writer.event(stream, Param("k", "x" * 50_000, 0))
    writer.point(stream, "k", 2.0, 1)
    assert [r.seq for r in segments.records()] == [0, 1, 2]


def test_the_time_of_a_point_is_the_clocks(segments):
    writer = segments.writer()
    before = time.time_ns() // 10**6
    writer.point(writer.stream("a" * 32), "k", 1.0, 0)
    assert before <= segments.records()[0].time_ms <= time.time_ns() // 10**6


@pytest.mark.parametrize("mapped", [True, False])
def test_a_point_may_have_a_time_of_its_own_and_belong_to_a_model_or_dataset(tmp_path, mapped):
    segments = Segments(tmp_path, mapped=mapped)
    writer = segments.writer()
    stream = writer.stream("a" * 32)
    key = SeriesKey("k", "m-1", "data", "d1")
    for time_ms in (0, 5, None, 2**64 // 10**6):  # the first is the one that defines the key
        for name in (key, "k"):
            writer.point(stream, name, 1.0, 0, None if time_ms is None else time_ms * 10**6)
    found = segments.records()
    assert [r.time_ms for r in found if r.key == "k"][:2] == [0, 5]
    assert [r.time_ms for r in found if r.key != "k"][3] == 2**64 // 10**6
    assert {str(r.key) for r in found} == {"k", str(list(key))}
    assert abs(found[4].time_ms - time.time() * 1000) < 60_000


def test_a_bad_point_leaves_nothing_behind(segments):
    writer = segments.writer()
    stream = writer.stream("a" * 32)
    for key, value, step, error in (
        ("k", 1.0, 2**63, struct.error),
        ("k", "1", 0, struct.error),
        ("", 1.0, 0, InvalidInputError),
        ([], 1.0, 0, TypeError),
    ):
        with pytest.raises(error):
            writer.point(stream, key, value, step)
    assert segments.records() == []
    writer.point(stream, "k", math.inf, 0)
    with pytest.raises(struct.error):
        writer.point(stream, "k", 1.0, 2**63)
    assert len(segments.records()) == 1


def test_a_closed_stream_takes_late_events_only(segments):
    writer = segments.writer()
    stream = writer.stream("a" * 32)
    writer.point(stream, "k", 1.0, 0)
    writer.close(stream)
    for call in (
        lambda: writer.point(stream, "k", 1.0, 0),
        lambda: writer.event(stream, Param("k", "v", 0)),
        lambda: writer.series(stream, "k", SERIES_PAYLOAD.pack(0, 0)),
    ):
        with pytest.raises(RunEndedError, match="has ended"):
            call()
    writer.event(stream, Param("late", "v", 0), late=True)
    with pytest.raises(RunEndedError):
        writer.point(stream, "k", 1.0, 0)
    writer.reopen(stream)
    writer.point(stream, "k", 2.0, 0)
    assert [r.seq for r in segments.records()] == [0, 1, 2]


@pytest.mark.parametrize("mapped", [True, False])
def test_a_full_spool_refuses_points_and_declares_which(tmp_path, mapped):
    segments = Segments(tmp_path, mapped=mapped)
    writer = segments.writer()
    stream = writer.stream("a" * 32)
    writer.point(stream, "k", 0.0, 0)
    segments.points_allowed = False
    for i in range(1, 1000):
        writer.point(stream, "k", 0.0, i)
    stored = len(segments.records())
    assert stored < 200
    writer.event(stream, Param("told", "v", 0))
    declared, param = segments.records()[stored:]
    assert declared.data["type"] == "range_declared"
    assert (declared.data["kind"], declared.data["session"]) == ("dropped", SESSION)
    assert (declared.data["first_seq"], declared.data["count"]) == (stored, 1000 - stored)
    assert (declared.seq, param.seq) == (1000, 1001)


@pytest.mark.parametrize("mapped", [True, False])
def test_the_end_of_the_last_segment_is_kept_for_what_is_no_point(tmp_path, mapped):
    segments = Segments(tmp_path, mapped=mapped)
    writer = segments.writer()
    stream = writer.stream("a" * 32)
    writer.point(stream, "k", 0.0, 0)
    segments.points_allowed, segments.reserve = False, 0
    for i in range(1, 1000):
        writer.point(stream, "k", 0.0, i)
    assert segments.refused == {stream.name: (stream.refused_from, stream.refused)}
    writer.event(stream, Param("kept", "v", 0))
    assert segments.refused == {stream.name: (0, 0)}, "it was declared"
    assert [e["value"] for e in events(segments.records(), stream.name, "param")] == ["v"]
    assert len(list(segments.folder.path.glob("*.seg"))) == 1


def test_a_writer_that_has_finished_goes_on_in_a_new_segment(segments):
    writer = segments.writer()
    stream = writer.stream("a" * 32)
    writer.point(stream, "k", 0.0, 0)
    writer.finish()
    writer.finish()
    assert recover_segment(segments.folder.segment(1)).closed
    writer.point(stream, "k", 1.0, 1)
    writer.point(stream, "k", 2.0, 2)
    assert [r.seq for r in segments.records()] == [0, 1, 2]
    assert len(list(segments.folder.path.glob("*.seg"))) == 2


def test_a_segment_that_cannot_be_closed_on_a_full_disk_is_gone_on_with_later(tmp_path, monkeypatch):
    monkeypatch.setattr("runstone.spool.writer.SECOND_NS", 0)
    segments = Segments(tmp_path, mapped=False)
    writer = segments.writer()
    stream, key = writer.stream("a" * 32), "k" * 10  # so long that the segment has room for END and no point
    writer.point(stream, key, 0.0, 0)
    segments.points_allowed = False
    for i in range(1, 100):
        writer.point(stream, key, 0.0, i)
    segments.points_allowed = True
    write = os.pwrite

    def full(descriptor, data, at):
        return write(descriptor, data, at) if at < 4096 else 0

    monkeypatch.setattr(os, "pwrite", full)
    writer.point(stream, key, 0.0, 100)
    monkeypatch.setattr(os, "pwrite", write)
    for i in range(101, 110):
        writer.point(stream, key, 0.0, i)
    records = segments.records()
    declared = declared_seqs(records, stream)
    assert [r.seq for r in records] == [seq for seq in range(stream.next_seq) if seq not in declared]
    assert 100 in declared


def test_when_there_is_room_again_points_are_taken_again_behind_the_declared_range(segments, monkeypatch):
    monkeypatch.setattr("runstone.spool.writer.SECOND_NS", 0)
    writer = segments.writer()
    stream = writer.stream("a" * 32)
    writer.point(stream, "k", 0.0, 0)
    segments.points_allowed = False
    for i in range(1, 300):
        writer.point(stream, "k", 0.0, i)
    segments.points_allowed = True
    writer.point(stream, "k", 0.0, 300)
    records = segments.records()
    assert records[-1].seq == 301
    assert records[-1].data == (300, 0.0)
    assert sorted([*declared_seqs(records, stream), *(r.seq for r in records)]) == list(range(302))


def test_when_even_the_reserve_is_used_up_events_are_refused_and_declared_later(segments, monkeypatch):
    monkeypatch.setattr("runstone.spool.writer.SECOND_NS", 0)
    writer = segments.writer()
    stream = writer.stream("a" * 32)
    segments.points_allowed, segments.reserve = False, 2
    for _ in range(9):
        writer.event(stream, Param("k", "x" * 3000, 0))
    segments.points_allowed = True
    writer.position()
    records = segments.records()
    assert len(events(records, stream.name, "param")) == 4, "two in each segment of the reserve"
    assert sorted([*declared_seqs(records, stream), *(r.seq for r in records)]) == list(
        range(stream.next_seq)
    )


@pytest.mark.parametrize("mapped", [True, False])
def test_calls_of_several_threads_get_a_seq_each(tmp_path, mapped):
    segments = Segments(tmp_path, mapped=mapped)
    writer = segments.writer()
    streams = [writer.stream(f"{i:032x}") for i in range(2)]

    def log(which: int) -> None:
        for i in range(500):
            writer.point(streams[i % 2], f"{which} {i % 3}", float(which), i)

    threads = [threading.Thread(target=log, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = segments.records()
    assert_dense(records)
    assert len(records) == 2000


@pytest.mark.parametrize("mapped", [True, False])
def test_points_of_one_moment_are_as_many_points(tmp_path, mapped):
    segments = Segments(tmp_path, mapped=mapped)
    writer = segments.writer()
    stream = writer.stream("a" * 32)
    keys = ["x", "y", "z"]
    assert not writer.points(stream, keys, [0.0, 1.0, 2.0], 7)  # nobody has checked the keys yet
    for key in keys:
        writer.point(stream, key, -1.0, 0)
    logged = 0
    for step in range(200):
        if writer.points(stream, keys, [step + 0.25, math.inf, -0.0], step):
            logged += 1
        else:
            for key in keys:
                writer.point(stream, key, 5.0, step)
    records = segments.records()
    assert_dense(records)
    assert len(records) == 603
    assert (logged > 100) == mapped
    if mapped:
        with pytest.raises((struct.error, TypeError)):
            writer.points(stream, keys, [0.0, "no", 0.0], 0)
    writer.close(stream)
    assert not writer.points(stream, keys, [0.0, 1.0, 2.0], 7)
    assert len(segments.records()) == 603


@pytest.mark.parametrize("stored", range(4))
def test_points_that_a_kill_cut_short_are_a_beginning_of_them(segments, stored):
    writer = segments.writer()
    stream = writer.stream("a" * 32)
    for key in "xyz":
        writer.point(stream, key, -1.0, 0)
    _number, at = writer.position()
    assert writer.points(stream, list("xyz"), [1.0, 2.0, 3.0], 1)
    with segments.folder.segment(1).open("r+b") as file:
        for late in range(stored, 3):  # checksums are stored last, in this order
            file.seek(at + late * 48)
            file.write(bytes(4))
    records = segments.records()
    assert_dense(records)
    assert len(records) == 3 + stored


@pytest.mark.parametrize("at_once", [False, True])
def test_a_signal_handler_that_logs_in_the_middle_of_a_call_loses_nothing(segments, at_once):
    writer = segments.writer()
    stream = writer.stream("a" * 32)
    handled = 0

    def handle(_number, _frame):
        nonlocal handled
        writer.point(stream, f"from the handler {handled % 50}", 1.0, handled)
        writer.point(stream, "k", 2.0, handled)
        handled += 1

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    calls = 0
    try:
        deadline = time.monotonic() + 10
        while handled < 300 and time.monotonic() < deadline:
            if not at_once:
                writer.point(stream, f"{calls % 11}", 3.0, calls)
                calls += 1
            elif writer.points(stream, ["k", "from the handler 0"], [3.0, 4.0], calls):
                calls += 2
            else:
                writer.point(stream, "k", 5.0, calls)
                calls += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    records = segments.records()
    assert_dense(records)
    assert handled >= 300
    assert len(records) == calls + 2 * handled


def test_the_writer_leaves_the_parents_segment_alone_after_a_fork(tmp_path):
    parent = Segments(tmp_path)
    writer = parent.writer()
    stream = writer.stream("a" * 32)
    writer.point(stream, "k", 1.0, 0)
    writer.forget()
    assert (stream.next_seq, writer.position()) == (0, (0, 0))
    assert len(parent.records()) == 1


def test_the_first_record_of_a_joined_stream_is_its_prologue(segments):
    writer = segments.writer()
    stream = writer.stream("a" * 32)
    stream.prologue = lambda: Param("joined", "", 1)
    writer.point(stream, "k", 1.0, 0)
    assert [r.seq for r in segments.records()] == [0, 1]
    assert segments.records()[0].data["key"] == "joined"


def test_a_sleeping_sender_is_woken_and_the_check_comes_once_a_second(tmp_path):
    segments, woken, checks = Segments(tmp_path), [], []
    writer = Writer(
        segments.make, lambda: SESSION, lambda: checks.append(1), lambda _reason: None, segments.note_refused
    )
    writer.asleep = bytearray(b"\1")
    writer.wake = lambda: woken.append(os.getpid())
    stream = Stream("a" * 32)
    writer.point(stream, "k", 1.0, 0)
    writer.asleep[0] = 0
    writer.point(stream, "k", 1.0, 0)
    assert (len(woken), len(checks)) == (1, 1)
