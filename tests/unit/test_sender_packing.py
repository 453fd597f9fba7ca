"""Packing: the envelopes hold exactly the records, however they were cut."""

import struct
from array import array

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from runstone.events import decode, limits
from runstone.events.encoding import event_to_json
from runstone.events.types import Param, Series, SeriesKey, Tag
from runstone.sender.packing import halves, pack_records
from runstone.spool.reader import EventRecord, PointRun, SeriesRecord

SESSION, RUN = "5" * 32, "a" * 32
NAMES = {1: b'"loss"', 2: b'"acc/\\u00fc"', 3: b'["loss","m","d","x"]'}
KEYS = {1: SeriesKey("loss"), 2: SeriesKey("acc/ü"), 3: SeriesKey("loss", "m", "d", "x")}

MS = st.integers(0, limits.TIME_MAX // 1000)
I64 = st.integers(-(2**63), 2**63 - 1)

points = st.lists(
    st.tuples(st.sampled_from([1, 2, 3]), MS, I64, st.floats(width=64)), min_size=1, max_size=40
)
events = st.one_of(
    st.builds(Param, st.just("k"), st.text(st.characters(codec="utf-8", exclude_characters="\0")), MS),
    st.builds(Tag, st.just("k"), st.text(max_size=5, alphabet="ab"), MS),
)
series = st.lists(st.tuples(I64, st.floats(), MS), max_size=10)
records = st.lists(
    st.one_of(
        st.tuples(st.just("points"), points),
        st.tuples(st.just("event"), events),
        st.tuples(st.just("series"), st.tuples(series, st.booleans(), MS)),
        st.tuples(st.just("gap"), st.integers(1, 5)),
    ),
    max_size=12,
)


def bits(value):
    return struct.pack("d", value) if value == value else b"nan"


def build(found):
    """The records to pack, and {seq: what must come out}."""
    items, expected, seq = [], {}, 3
    for kind, content in found:
        if kind == "gap":
            seq += content
        elif kind == "points":
            k, t, s, v = zip(*content, strict=True)
            items.append(PointRun(RUN, seq, NAMES, k, [ms * 1_000_000 + 7 for ms in t], t, s, v))
            for key, ms, step, value in content:
                expected[seq] = (KEYS[key], ms, step, bits(value))
                seq += 1
        elif kind == "event":
            items.append(EventRecord(RUN, seq, 0, 0, orjson.dumps(event_to_json(content))))
            expected[seq] = content
            seq += 1
        else:
            rows, has_times, now = content
            steps, values = array("q", [r[0] for r in rows]), array("d", [r[1] for r in rows])
            times = array("q", [r[2] if has_times else now for r in rows])
            stamps = times if has_times else None
            items.append(SeriesRecord(RUN, seq, now * 1_000_000, 0, NAMES[2], steps, values, stamps))
            expected[seq] = Series(KEYS[2], steps, times, array("d", values))
            seq += 1
    return items, expected


def unpack(packed):
    found = {}
    for one in packed:
        envelope = decode(one.value)
        assert (envelope.session, envelope.stream) == (SESSION, RUN)
        assert (envelope.first_seq, envelope.n) == (one.first_seq, one.n)
        others = dict(zip(envelope.index, envelope.events, strict=True))
        table = envelope.points
        rows = iter(zip(table.k, table.t, table.s, table.v, strict=True))
        for i in range(envelope.n):
            seq = envelope.first_seq + i
            assert seq not in found
            if i in others:
                found[seq] = others[i]
            else:
                k, t, s, v = next(rows)
                found[seq] = (table.keys[k], t, s, bits(v))
    return found


def same(found, expected):
    assert found.keys() == expected.keys()
    for seq, content in expected.items():
        if isinstance(content, Series):
            got = found[seq]
            assert (got.key, got.steps, got.times) == (content.key, content.steps, content.times)
            assert list(map(bits, got.values)) == list(map(bits, content.values))
        else:
            assert found[seq] == content


@settings(max_examples=150, deadline=None)
@given(records)
def test_decoded_envelopes_hold_exactly_the_records(found):
    items, expected = build(found)
    same(unpack(pack_records(SESSION, RUN, items)), expected)


@settings(max_examples=60, deadline=None)
@given(records, st.data())
def test_any_split_of_the_records_gives_the_same(found, data):
    items, expected = build(found)
    cut = data.draw(st.integers(0, len(items)))
    packed = [*pack_records(SESSION, RUN, items[:cut]), *pack_records(SESSION, RUN, items[cut:])]
    same(unpack(packed), expected)


def test_an_envelope_is_closed_near_its_usual_size():
    n = 50_000
    run = PointRun(RUN, 0, NAMES, [1] * n, [10**18] * n, range(n), range(n), [1 / 3] * n)
    packed = list(pack_records(SESSION, RUN, [run]))
    assert sum(one.n for one in packed) == n
    assert all(len(one.value) <= limits.ENVELOPE_USUAL for one in packed)
    assert len(packed) < n * 64 / limits.ENVELOPE_USUAL + 2
    big = [EventRecord(RUN, i, 0, 0, b'{"type":"tag","value":"%s"}' % (b"x" * 200_000)) for i in range(7)]
    assert [one.n for one in pack_records(SESSION, RUN, big)] == [2, 2, 2, 1]


def test_an_envelope_of_series_with_the_longest_keys_is_closed_before_it_is_too_large():
    n = 8192
    names = {i: orjson.dumps(f"{i:05d}" + "\N{GRINNING FACE}" * (limits.KEY_MAX - 5)) for i in range(n)}
    run = PointRun(RUN, 0, names, range(n), [10**18] * n, range(n), range(n), [1 / 3] * n)
    packed = list(pack_records(SESSION, RUN, [run]))
    assert sum(one.n for one in packed) == n
    assert all(len(one.value) <= 2 * limits.ENVELOPE_USUAL for one in packed)


def test_what_cannot_be_divided_has_no_halves():
    nonsense = [EventRecord(RUN, i, 0, 0, b'{"type":"tag"}') for i in range(2)]
    for records in (nonsense[:1], nonsense):
        (one,) = pack_records(SESSION, RUN, records)
        assert halves(one) == ()


def test_the_headers_account_for_an_envelope():
    (one,) = pack_records(SESSION, RUN, [EventRecord(RUN, 41, 0, 0, b'{"type":"tag"}')])
    assert one.headers == [
        ("v", b"1"), ("session", SESSION.encode()), ("stream", RUN.encode()), ("first_seq", b"41"), ("n", b"1"),
    ]  # fmt: skip
