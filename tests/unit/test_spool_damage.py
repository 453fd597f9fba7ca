"""Whatever happens to a segment's bytes: no crash, no wrong record, and every other record is recovered."""

import json
import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runstone.events.types import Param
from runstone.sender.adoption import Session
from runstone.sender.progress import Progress
from runstone.sender.tail import Position, Tail
from runstone.spool.allocation import create_segment
from runstone.spool.layout import MachineFolder, SessionFolder
from runstone.spool.reader import Damage, EventRecord, PointRun, SegmentReader
from runstone.spool.segment import HEADER_SIZE, SERIES_PAYLOAD
from runstone.spool.writer import Writer
from tests.spool_recovery import recover_segment

URI = "http://127.0.0.1:5000"
A, B = "a" * 32, "b" * 32
PAGE = 4096

Key = tuple[str, int]


class Written:
    """A session that a real writer filled, and what it was given: content by (stream, seq)."""

    def __init__(self, root: Path, size: int, seed: int = 0) -> None:
        self.folder = SessionFolder(MachineFolder(root / "machine-earlier").sessions / ("cd" * 16))
        self.folder.uploads.mkdir(parents=True)
        self.folder.json.write_text(json.dumps({"uri": URI}))
        self.folder.lock.touch()
        self.truth: dict[Key, object] = {}
        self._size = size
        self._random = random.Random(seed)
        self.writer = Writer(self._make, lambda: "cd" * 16, lambda: None, lambda _why: None, lambda *_: None)
        self.streams = [self.writer.stream(name) for name in (A, B)]

    def _make(self, number: int, need: int, _reserved: bool):
        size = max(self._size, need + PAGE - 1 & ~(PAGE - 1))
        return create_segment(self.folder, number, size, URI, mapped=True)

    def append(self, n: int) -> None:
        """*n* records of all kinds."""
        for _ in range(n):
            stream = self._random.choice(self.streams)
            kind = self._random.choice("pppes")
            step, value, key = self._random.getrandbits(40), self._random.random(), f"k{step_of(self)}"
            where = stream.name, stream.next_seq
            if kind == "p":
                self.writer.point(stream, key, value, step)
                self.truth[where] = ("point", key, step, value)
            elif kind == "e":
                self.writer.event(stream, Param(key, str(step), 1))
                self.truth[where] = ("param", key, str(step))
            else:
                self.writer.series(stream, key, SERIES_PAYLOAD.pack(1, 0) + struct.pack("<qd", step, value))
                self.truth[where] = ("series", key, [step], [value])

    def segments(self) -> list[Path]:
        return [self.folder.segment(number) for number in self.folder.segment_numbers()]


def step_of(written: Written) -> int:
    return written._random.randrange(4)


def contents(items) -> Iterator[tuple[Key, object]]:
    """Each record that the product's reader gave."""
    for item in items:
        if isinstance(item, PointRun):
            for i in range(item.n):
                key = json.loads(item.names[item.keys[i]])
                yield (item.stream, item.first_seq + i), ("point", key, item.steps[i], item.values[i])
        elif isinstance(item, EventRecord):
            event = json.loads(item.payload)
            yield (item.stream, item.first_seq), (event["type"], event["key"], event["value"])
        elif not isinstance(item, Damage):
            key = json.loads(item.key)
            yield (item.stream, item.first_seq), ("series", key, item.steps.tolist(), item.values.tolist())


def read_segment(path: Path) -> tuple[dict[Key, object], bool]:
    """What the product reads of an orphan's segment, and whether it saw damage."""
    try:
        reader = SegmentReader(path)
    except ValueError:
        return {}, True
    items = []
    try:
        while not reader.ended:
            items += reader.read(1 << 16, final=True)
    finally:
        reader.close()
    return dict(contents(items)), any(isinstance(item, Damage) for item in items)


def by_the_document(path: Path) -> tuple[dict[Key, object], bool]:
    """The same by the parser that knows docs/spool.md only."""
    found = recover_segment(path)
    told = {}
    for r in found.records:
        data = r.data
        if isinstance(data, dict):
            told[r.stream, r.seq] = (data["type"], data["key"], data["value"])
        elif isinstance(data[0], list):
            told[r.stream, r.seq] = ("series", r.key, data[0], data[1])
        else:
            told[r.stream, r.seq] = ("point", r.key, *data)
    return told, found.damaged


def check_every_flip(root: Path, start: int = 0) -> None:
    """Flip each byte of a small segment in turn: no wrong record, at most the one that was hit is lost."""
    written = Written(root, 8192)
    written.append(24)
    written.writer.finish()
    [path] = written.segments()
    whole = path.read_bytes()
    used = HEADER_SIZE + len(whole[HEADER_SIZE:].rstrip(b"\0"))
    assert read_segment(path) == (written.truth, False)
    with path.open("r+b", buffering=0) as file:
        for at in range(start, len(whole)):
            for flip in (0xFF, 1 << at % 8) if HEADER_SIZE <= at < used else (1 << at % 8,):
                os.pwrite(file.fileno(), bytes([whole[at] ^ flip]), at)
                found, damaged = read_segment(path)
                assert found.items() <= written.truth.items(), (
                    f"a wrong record with {at} flipped by {flip:#x}"
                )
                assert len(found) >= len(written.truth) - 1, f"more than one record lost at {at}"
                assert damaged or found == written.truth, f"a silent loss at {at}"
                assert at >= HEADER_SIZE or found == written.truth, f"the header's byte {at} costs records"
            os.pwrite(file.fileno(), whole[at : at + 1], at)


def test_any_byte_flipped_costs_one_record_at_most_and_never_changes_one(tmp_path):
    check_every_flip(tmp_path)


def test_a_tail_cut_anywhere_costs_what_lay_behind_it_only(tmp_path):
    written = Written(tmp_path, 8192)
    written.append(24)
    [path] = written.segments()
    whole = path.read_bytes()
    copy = tmp_path / "00000001.seg"
    for length in (*range(0, HEADER_SIZE, 512), *range(HEADER_SIZE, len(whole), 3)):
        copy.write_bytes(whole[:length])
        found, damaged = read_segment(copy)
        assert damaged
        assert (found, damaged) == by_the_document(copy)
        assert found.items() <= written.truth.items()


damages = st.lists(
    st.tuples(
        st.sampled_from(["flip", "zeros", "noise", "cut", "gone", "moved"]),
        st.integers(0, 5),
        st.floats(0, 1),
        st.integers(1, 9000),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damages, st.integers(0, 2**20), st.integers(6, 4000).map(lambda n: 8 * n))
def test_of_a_damaged_session_everything_valid_is_read_and_the_rest_is_declared(
    tmp_path_factory, found, seed, start
):
    written = Written(tmp_path_factory.mktemp("s"), 32768, seed)
    written.append(1500)
    written.writer.finish()
    noise = random.Random(seed)
    for what, which, where, length in found:
        paths = written.segments()
        if not paths:
            break
        path = paths[which % len(paths)]
        size = path.stat().st_size
        at = int(where * size)
        if what == "gone":
            path.unlink()
        elif what == "cut":
            os.truncate(path, at)
        else:
            with path.open("r+b") as file:
                block = os.pread(file.fileno(), min(length, size - at), at)
                changed = {
                    "flip": bytes([block[0] ^ 1 << length % 8]) + block[1:] if block else b"",
                    "zeros": bytes(len(block)),
                    "noise": noise.randbytes(len(block)),
                    "moved": block[8:] + block[:8],
                }[what]
                os.pwrite(file.fileno(), changed, at)
    expected: dict[Key, object] = {}
    for path in written.segments():
        expected |= by_the_document(path)[0]
    assert expected.items() <= written.truth.items()
    read, progress, lost = follow(written.folder)
    assert read == expected
    assert_declared(written, read, progress, lost)


def follow(folder: SessionFolder) -> tuple[dict[Key, object], Progress, set[Key]]:
    """What a sender would deliver of an orphan, and what it would declare as lost."""
    progress, read, lost = Progress(), {}, set()
    tail = Tail(folder, Position(1, HEADER_SIZE), progress.replay)
    while (slab := tail.read(final=True)) or not tail.finished:
        if slab:
            read |= dict(contents(slab.items))
            for stream, first, n, _kind in progress.note(slab.items):
                lost |= {(stream, seq) for seq in range(first, first + n)}
    return read, progress, lost


def assert_declared(written: Written, read: dict[Key, object], progress: Progress, lost: set[Key]) -> None:
    """Every hole is declared exactly; only behind the last record nobody can know what there was."""
    last = {name: max((seq for stream, seq in read if stream == name), default=-1) for name in (A, B)}
    assert lost == {(s, seq) for s, seq in written.truth if seq <= last[s]} - read.keys()
    if lost:
        assert progress.damaged


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(1, 250), min_size=1, max_size=8), st.integers(0, 2**20))
def test_after_a_power_cut_what_was_synced_is_read_and_the_session_is_not_clean(
    tmp_path_factory, steps, seed
):
    """Any subset of the pages that were written since the last sync is gone; so is a file nobody synced."""
    written = Written(tmp_path_factory.mktemp("s"), 32768, seed)
    chance = random.Random(seed)
    synced: dict[Path, bytes] = {}
    safe: set[Key] = set()
    for n in steps:
        synced = {path: path.read_bytes() for path in written.segments()}
        safe = set(written.truth)
        written.append(n)
    for path in written.segments():
        before, now = synced.get(path), path.read_bytes()
        if before is None and chance.random() < 0.3:
            path.unlink()
            continue
        old = before or bytes(len(now))
        pages = (
            now[at : at + PAGE] if chance.random() < 0.5 else old[at : at + PAGE]
            for at in range(0, len(now), PAGE)
        )
        path.write_bytes(b"".join(pages))
    session = Session(written.folder, URI)
    session.look()
    read, progress, lost = follow(written.folder)
    session.progress = progress
    session.close()
    assert read.items() <= written.truth.items()
    assert safe <= read.keys()
    assert_declared(written, read, progress, lost)
    assert not session.clean


def test_a_session_of_an_earlier_boot_is_clean_where_its_end_or_its_syncing_is_on_record(tmp_path):
    for ending, clean in (("killed", False), ("closed", True), ("synced", True)):
        written = Written(tmp_path / ending, 32768)
        written.append(100)
        if ending == "closed":
            written.writer.finish()
        elif ending == "synced":
            written.folder.settled.touch()
        session = Session(written.folder, URI)
        session.look()
        while slab := session.tail.read(final=True):
            session.progress.note(slab.items)
            session.progress.note_end(closed=slab.closed)
        session.close()
        assert session.clean == clean, ending


def test_without_checksums_the_test_of_flipped_bytes_fails(tmp_path, monkeypatch):
    for module in ("segment", "writer", "reader", "recovery"):
        monkeypatch.setattr(f"runstone.spool.{module}.crc32", lambda _data, _seed=0: 1)
    with pytest.raises((AssertionError, ValueError, struct.error)):  # a crash is a failure as well
        check_every_flip(tmp_path, HEADER_SIZE)


def test_without_second_definitions_the_test_of_flipped_bytes_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(Writer, "_put_again", lambda *_: None)
    with pytest.raises(AssertionError, match="more than one record lost"):
        check_every_flip(tmp_path, HEADER_SIZE)


def test_a_copied_segment_of_another_session_gives_no_records(tmp_path):
    """What another file left in reused blocks has another salt."""
    first, second = Written(tmp_path / "1", 32768, 1), Written(tmp_path / "2", 32768, 2)
    first.append(100)
    second.append(20)
    [one], [two] = first.segments(), second.segments()
    strange = one.read_bytes()[HEADER_SIZE:]
    with two.open("r+b") as file:
        used = len(two.read_bytes().rstrip(b"\0"))
        os.pwrite(file.fileno(), strange[: 32768 - used - 8 & ~7], used + 7 & ~7)
    assert read_segment(two)[0] == second.truth
