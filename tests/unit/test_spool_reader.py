"""Reading segments: everything that was written, in order, and nothing that was not."""

import math
import os
import struct
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstone.spool.reader import Damage, EventRecord, PointRun, SegmentReader, SeriesRecord
from runstone.spool.segment import END, EVENT, KEY, POINT, SERIES, STREAM
from tests.handmade_spool import HandmadeSegment

A, B = "a" * 32, "b" * 32


@pytest.fixture
def segment(tmp_path):
    return HandmadeSegment(tmp_path / "00000001.seg", "0" * 32, "http://x", 1, 1 << 20)


@pytest.fixture
def reader(segment):
    found = SegmentReader(segment.path)
    yield found
    found.close()
    os.close(segment.file)


def point(segment, stream, seq, key="loss", step=0, value=0.0):
    index, offset = segment.stream(stream, seq)
    segment.put(POINT, index, segment.key(key), offset, struct.pack("<qd", step, value))


def flat(items):
    """(stream, seq, content) of each record; Damage as it is."""
    found = []
    for item in items:
        if isinstance(item, PointRun):
            assert len({len(c) for c in (item.keys, item.times, item.monos, item.steps, item.values)}) == 1
            found += [
                (item.stream, item.first_seq + i, (item.names[item.keys[i]], item.steps[i], item.values[i]))
                for i in range(item.n)
            ]
        elif isinstance(item, EventRecord):
            found.append((item.stream, item.first_seq, item.payload))
        elif isinstance(item, SeriesRecord):
            found.append((item.stream, item.first_seq, (item.key, item.steps, item.values, item.stamps)))
        else:
            found.append(item)
    return found


def read_all(reader, limit=1 << 16, *, final=False):
    items = []
    while not reader.ended:
        before = reader.position
        items += reader.read(limit, final=final)
        if reader.position == before and not reader.ended:
            break
    return items


@settings(max_examples=60, deadline=None)
@given(
    kinds=st.lists(st.tuples(st.sampled_from("pqes"), st.sampled_from([A, B])), max_size=120),
    limit=st.integers(6, 400).map(lambda n: 8 * n),
)
def test_any_mixture_of_records_is_read_whole_whatever_the_block_size(kinds, limit, tmp_path_factory):
    segment = HandmadeSegment(tmp_path_factory.mktemp("s") / "1.seg", "0" * 32, "http://x", 1, 1 << 20)
    seqs = {A: 0, B: 5}
    expected = {A: [], B: []}
    for i, (kind, stream) in enumerate(kinds):
        seq = seqs[stream]
        seqs[stream] += 1
        if kind in "pq":
            point(segment, stream, seq, kind, i, i / 3)
            expected[stream].append((stream, seq, (b'"%s"' % kind.encode(), i, i / 3)))
            continue
        index, offset = segment.stream(stream, seq)
        if kind == "e":
            segment.put(EVENT, index, 0, offset, b'{"type":"x","n":%d}' % i)
            expected[stream].append((stream, seq, b'{"type":"x","n":%d}' % i))
        else:
            n = i % 9
            columns = struct.pack(f"<{n}q{n}d{n}q", *range(n), *range(n), *range(n))
            segment.put(SERIES, index, segment.key("s"), offset, struct.pack("<II", n, 1) + columns)
            column = array("q", range(n))
            expected[stream].append((stream, seq, (b'"s"', column, array("d", range(n)), column)))
    segment.put(END)
    reader = SegmentReader(segment.path)
    found = flat(read_all(reader, limit))
    assert {stream: [r for r in found if r[0] == stream] for stream in (A, B)} == expected
    assert reader.position == segment.at
    assert reader.ended
    reader.close()
    os.close(segment.file)


def test_nothing_is_read_before_it_was_written(segment, reader):
    assert reader.read(4096) == []
    assert not reader.has_more()
    point(segment, A, 0)
    assert reader.has_more()
    assert [r[:2] for r in flat(read_all(reader))] == [(A, 0)]
    assert reader.read(4096) == []
    assert not reader.ended


def test_a_record_that_is_not_finished_does_not_exist_until_it_is(segment, reader):
    point(segment, A, 0)
    point(segment, A, 1)
    at = segment.positions[-1]
    crc = os.pread(segment.file, 4, at)
    os.pwrite(segment.file, bytes(4), at)
    assert [r[:2] for r in flat(read_all(reader))] == [(A, 0)]
    os.pwrite(segment.file, crc, at)
    assert [r[:2] for r in flat(read_all(reader))] == [(A, 1)]


def test_a_record_larger_than_the_block_is_read_whole(segment, reader):
    index, offset = segment.stream(A, 0)
    segment.put(EVENT, index, 0, offset, b"x" * 50_000)
    assert flat(read_all(reader, 64)) == [(A, 0, b"x" * 50_000)]


def test_doubles_come_back_bit_by_bit(segment, reader):
    values = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 2**53 + 1.0]
    for seq, value in enumerate(values):
        point(segment, A, seq, value=value, step=-(2**63))
    (run,) = read_all(reader)
    assert struct.pack("6d", *run.values) == struct.pack("6d", *values)
    assert set(run.steps) == {-(2**63)}


def test_a_range_that_was_dropped_parts_the_points_around_it(segment, reader):
    for seq in (0, 1, 2, 7, 8, 20):
        point(segment, A, seq)
    runs = read_all(reader)
    assert [(run.first_seq, run.n) for run in runs] == [(0, 3), (7, 2), (20, 1)]


@settings(max_examples=60, deadline=None)
@given(
    at=st.integers(0, 79),
    offset=st.sampled_from([0, 3, 4, 7, 12, 20, 40]),
    n=st.integers(1, 5),
    limit=st.integers(8, 300).map(lambda n: 8 * n),
)
def test_behind_damage_an_orphan_is_read_on(at, offset, n, limit, tmp_path_factory):
    segment = HandmadeSegment(tmp_path_factory.mktemp("s") / "1.seg", "0" * 32, "http://x", 1, 1 << 16)
    for seq in range(80):
        point(segment, A, seq)
    points = segment.positions[2:]  # behind the stream's and the key's definitions
    hit = range(at, min(80, at + n))
    for i in hit:
        byte = os.pread(segment.file, 1, points[i] + offset)[0]
        os.pwrite(segment.file, bytes([byte ^ 0x55]), points[i] + offset)
    reader = SegmentReader(segment.path)
    live = [r[1] for r in flat(read_all(reader, limit))]
    assert live == list(range(at))
    rest = flat(read_all(reader, limit, final=True))
    assert [r[1] for r in rest if r.__class__ is not Damage] == [i for i in range(at, 80) if i not in hit]
    assert any(isinstance(r, Damage) for r in rest)
    assert reader.ended
    reader.close()
    os.close(segment.file)


def test_the_end_of_an_orphan_is_no_damage(segment, reader):
    for seq in range(3):
        point(segment, A, seq)
    # the process was killed within a call, before that record's checksum
    os.pwrite(segment.file, b"\0\0\0\0" + struct.pack("<I", POINT << 24 | 48) + b"\7" * 40, segment.at)
    found = flat(read_all(reader, final=True))
    assert [r[1] for r in found] == [0, 1, 2]
    assert reader.ended


def test_a_cut_tail_is_damage(segment, reader):
    for seq in range(50):
        point(segment, A, seq)
    os.truncate(segment.path, segment.positions[30] + 20)
    found = flat(read_all(reader, final=True))
    assert [r[1] for r in found[:-1]] == list(range(28))
    assert isinstance(found[-1], Damage)


def test_records_whose_series_or_stream_was_destroyed_are_damage(segment, reader):
    point(segment, A, 0, "kept")
    segment.put(KEY, key=9, payload=b'"lost"')
    lost_key = segment.positions[-1]
    index, _ = segment.stream(A, 0)
    segment.put(POINT, index, 9, 1, struct.pack("<qd", 0, 0.0))
    segment.put(STREAM, stream=8, payload=struct.pack("<Q", 0) + B.encode())
    lost_stream = segment.positions[-1]
    segment.put(EVENT, 8, 0, 0, b"{}")
    point(segment, A, 2, "kept")
    for at in (lost_key, lost_stream):
        os.pwrite(segment.file, b"\xff\xff\xff\xff", at)
    found = [r for r in flat(read_all(reader, final=True)) if not isinstance(r, Damage)]
    assert [r[:2] for r in found] == [(A, 0), (A, 2)]


def test_nonsense_with_a_right_checksum_is_damage(segment, reader):
    point(segment, A, 0, "kept")
    segment.put(STREAM, stream=9, payload=struct.pack("<Q", 0) + b"\xff\xfe")
    segment.put(SERIES, 1, 1, 1, struct.pack("<IIqd", 5, 0, 1, 1.0))
    point(segment, A, 2, "kept")
    found = flat(read_all(reader))
    assert [type(r) is Damage for r in found] == [False, True, True, False]


def test_what_is_no_segment_is_refused_in_words(tmp_path):
    path = tmp_path / "1.seg"
    path.write_bytes(b"something else".ljust(8192))
    with pytest.raises(ValueError, match="does not begin with RUNSTONE"):
        SegmentReader(path)
