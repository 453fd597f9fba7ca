"""The contract's laws: exact round-trips, trimming at every position, errors a person understands."""

import copy
import dataclasses
import pickle
from array import array

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone.events import CATALOG, Envelope, PointTable, cut, decode, encode
from runstone.events import types as e
from runstone.events.encoding import headers, pack
from runstone.events.limits import TIME_MAX, check_ladder
from runstone.events.types import SeriesKey
from runstone.exceptions import MalformedEnvelopeError, UnknownVersionError
from tests.contract.golden_envelopes import GOLDEN, RUN, SESSION
from tests.contract.test_golden_files import exact

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
keys = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=250)
steps = st.integers(-(2**63), 2**63 - 1)
times = st.integers(0, TIME_MAX)
values = st.floats(allow_nan=True, allow_infinity=True).map(lambda v: v if v == v else float("nan"))
series_keys = st.builds(SeriesKey, keys, texts, texts, texts)
columns = st.lists(st.tuples(steps, times, values))


@st.composite
def a_series(draw):
    rows = draw(columns)
    return e.Series(
        draw(series_keys),
        array("q", [r[0] for r in rows]),
        array("q", [r[1] for r in rows]),
        array("d", [r[2] for r in rows]),
    )


run_events = st.one_of(
    a_series(),
    st.builds(e.Param, keys, texts, times),
    st.builds(e.Tag, keys, texts, times),
    st.builds(e.RunEnded, st.sampled_from(e.STATUSES), times, texts),
    st.builds(e.RunStarted, st.integers(0, 2**53 - 1), texts, texts, times, texts, texts,
              st.dictionaries(texts, st.none() | st.booleans() | texts | st.lists(texts))),
    st.builds(e.DatasetInput, texts, texts, times, texts, texts, texts, texts, st.dictionaries(keys, texts)),
)  # fmt: skip
point_rows = st.tuples(st.sampled_from(["loss", "acc", "α/β"]), steps, times, values)


@st.composite
def envelopes(draw):
    records = draw(st.lists(run_events | point_rows, min_size=1, max_size=12))
    index, events, table, names = [], [], PointTable(), {}
    for i, record in enumerate(records):
        if isinstance(record, tuple) and not isinstance(record, SeriesKey):
            key, step, time, value = record
            table.k.append(names.setdefault(key, len(names)))
            table.s.append(step)
            table.t.append(time)
            table.v.append(value)
        else:
            index.append(i)
            events.append(record)
    table.keys = [SeriesKey(name) for name in names]
    return Envelope(SESSION, RUN, draw(st.integers(0, 2**40)), len(records), index, events, table)


def records_of(envelope):
    """The records one by one, as (seq, content): what an envelope means however it is packed."""
    table, found = envelope.points, []
    points = iter(range(len(table)))
    for i in range(envelope.n):
        if i in envelope.index:
            content = exact(envelope.events[envelope.index.index(i)])
        else:
            p = next(points)
            content = (table.keys[table.k[p]], table.s[p], table.t[p], table.v[p].hex())
        found.append((envelope.first_seq + i, content))
    return found


@given(envelopes())
def test_every_envelope_survives_the_wire_bit_by_bit(envelope):
    assert exact(decode(encode(envelope))) == exact(envelope)


@given(envelopes(), st.data())
def test_cutting_at_any_position_keeps_exactly_the_records_in_the_range(envelope, data):
    low = data.draw(st.integers(envelope.first_seq - 2, envelope.end_seq + 2))
    high = data.draw(st.integers(envelope.first_seq - 2, envelope.end_seq + 2))
    expected = [r for r in records_of(envelope) if low <= r[0] < high]
    part = cut(envelope, low, high)
    assert records_of(part) == expected
    if part.n:
        assert records_of(decode(encode(part))) == expected


def test_the_sizes_form_a_ladder():
    check_ladder()


def test_headers_account_for_a_record_whose_value_cannot_be_read():
    assert dict(headers(SESSION, RUN, 3, 2)) == {
        "v": b"1", "session": SESSION.encode(), "stream": RUN.encode(), "first_seq": b"3", "n": b"2",
    }  # fmt: skip


def test_unknown_members_are_ignored_so_that_fields_can_be_added():
    found = orjson.loads(encode(GOLDEN["params_and_tags"]))
    found["added"] = 1
    found["events"][0]["added"] = {"later": True}
    assert exact(decode(orjson.dumps(found))) == exact(GOLDEN["params_and_tags"])


def test_an_unknown_version_is_told_apart_from_damage():
    with pytest.raises(UnknownVersionError, match="version 2 of the contract is unknown here"):
        decode(b'{"v":2}')


def envelope_with(**members):
    return orjson.dumps(orjson.loads(encode(GOLDEN["points"])) | members)


def events_with(*found, stream=RUN):
    return pack(SESSION, stream, 0, len(found), list(range(len(found))), list(found), None)


POINTS = {"keys": ["a"], "k": [0], "s": [0], "t0": 0, "t": [0], "v": [1.0]}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[1]", "expected an object, found list"),
        (b"{}", "v: expected a version number"),
        (b"[" * 10_000, "not JSON"),
        (envelope_with(n=9), "n is 9, but there are 1 events and 7 points"),
        (envelope_with(n=-1), "n: expected a number from 1"),
        (envelope_with(first_seq=-1), "first_seq: expected a number from 0"),
        (envelope_with(session=""), "session: expected a key"),
        (envelope_with(stream=None), "stream: expected a text"),
        (envelope_with(i=[8]), "i: expected ascending indices"),
        (envelope_with(i=[0, 1]), "events: expected an array as long as i"),
        (events_with({"type": "novel"}), "expected an event type"),
        (events_with({"type": "param", "key": "a", "value": "b"}), "param.time is missing"),
        (events_with({"type": "param", "key": "a", "value": 3, "time": 1}), "param.value: expected a text"),
        (events_with({"type": "param", "key": "a\nb", "value": "", "time": 1}), "without control characters"),
        (events_with({"type": "param", "key": "a" * 251, "value": "", "time": 1}), "1 to 250 characters"),
        (events_with({"type": "param", "key": "a", "value": "\0", "time": 1}), "NUL"),
        (events_with({"type": "param", "key": "a", "value": "", "time": TIME_MAX + 1}), "between 1970 and 9999"),
        (events_with({"type": "param", "key": "a", "value": "", "time": True}), "between 1970 and 9999"),
        (events_with({"type": "run_ended", "status": "DONE", "time": 1}), "expected a status"),
        (events_with({"type": "param", "key": "a", "value": "", "time": 1}, stream=CATALOG), "does not belong"),
        (events_with({"type": "experiment_created", "name": "a", "time": 1}), "does not belong"),
        (events_with({"type": "series", "key": "a", "s": [0], "t0": 0, "v": []}), "columns differ in length"),
        (events_with({"type": "series", "key": "a", "s": [0], "t0": 0, "v": [None]}), "expected numbers"),
        (events_with({"type": "series", "key": "a", "s": [0], "t0": 0, "v": ["nan"]}), "expected numbers"),
        (events_with({"type": "series", "key": "a", "s": [2**63], "t0": 0, "v": [1.0]}), "64-bit integers"),
        (envelope_with(points=POINTS | {"k": [1]}), "lies outside the 1 keys"),
        (envelope_with(points=POINTS | {"keys": ["a", "a"]}), "a key is repeated"),
        (envelope_with(points=POINTS | {"t": [-1]}), "outside the years 1970 to 9999"),
        (envelope_with(points=POINTS | {"v": [1.0, 2.0]}), "columns differ in length"),
        (envelope_with(points=[]), "points: expected an object"),
    ],
)  # fmt: skip
def test_what_is_not_the_contract_is_refused_with_a_reason(value, reason):
    with pytest.raises(MalformedEnvelopeError, match=reason):
        decode(value)


@given(st.binary())
def test_no_bytes_crash_the_decoder(value):
    with pytest.raises(MalformedEnvelopeError):
        decode(value)


junk = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)


@given(st.data(), st.sampled_from(sorted(GOLDEN)), junk)
def test_no_member_of_any_other_type_crashes_the_decoder(data, name, value):
    found = orjson.loads(encode(GOLDEN[name]))
    holder = data.draw(st.sampled_from([found, *found.get("events", []), found.get("points", found)]))
    holder[data.draw(st.sampled_from(sorted(holder)))] = value
    try:
        decode(orjson.dumps(found))
    except MalformedEnvelopeError:
        pass


@pytest.mark.parametrize("kind", [[], {}, None, 7])
def test_a_type_that_is_no_text_is_refused_with_a_reason(kind):
    with pytest.raises(MalformedEnvelopeError, match="expected an event type"):
        decode(events_with({"type": kind}))


@pytest.mark.parametrize("status", [[], {}, None])
def test_a_status_that_is_no_text_is_refused_with_a_reason(status):
    with pytest.raises(MalformedEnvelopeError, match="expected a status"):
        decode(events_with({"type": "run_ended", "status": status, "time": 1}))


def test_an_event_is_what_a_frozen_dataclass_is():
    tag = e.Tag("k", "v", time=1)
    assert tag == e.Tag(key="k", value="v", time=1)
    assert tag != e.Param("k", "v", 1)
    assert hash(tag) == hash(e.Tag("k", "v", 1))
    assert repr(tag) == "Tag(key='k', value='v', time=1)"
    assert dataclasses.replace(tag, time=2) == e.Tag("k", "v", 2)
    assert pickle.loads(pickle.dumps(tag)) == tag == copy.copy(tag)
    assert [field.name for field in dataclasses.fields(tag)] == ["key", "value", "time"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        tag.time = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del tag.time
    with pytest.raises(AttributeError):
        tag.other = 1
    with pytest.raises(TypeError):
        e.Tag("k", "v")
    one, other = e.RunJoined(1), e.RunJoined(1)
    assert one.context == {}
    assert one.context is not other.context
