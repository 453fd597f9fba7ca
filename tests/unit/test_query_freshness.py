"""What a read must have seen, and how long that takes: the pure part of reading one's own writes."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone_query.at_least import applied_from_text, from_header, from_min_offset, joined, missing
from runstone_query.pace import Pace
from runstone_query.problems import Problem

TOPICS = {"events": "e", "catalog": "c"}
PLACES = st.tuples(st.sampled_from(["e", "c"]), st.integers(0, 11))
OFFSETS = st.dictionaries(PLACES, st.integers(0, 2**53 - 1))


def as_json(wanted: dict[tuple[str, int], int]) -> str:
    found: dict[str, dict[str, int]] = {}
    for (topic, partition), offset in wanted.items():
        found.setdefault(topic, {})[str(partition)] = offset
    return json.dumps(found)


@given(OFFSETS)
def test_a_header_says_what_was_meant(wanted: dict[tuple[str, int], int]) -> None:
    assert from_header(as_json(wanted), TOPICS) == wanted
    assert applied_from_text(as_json(wanted)) == wanted


def test_min_offset_names_partitions_of_the_events_topic() -> None:
    assert from_min_offset("3:17,0:2", "e") == {("e", 3): 17, ("e", 0): 2}


@given(st.one_of(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps)))
def test_any_other_header_is_refused(text: str) -> None:
    if text.strip() == "{}":
        return
    with pytest.raises(Problem) as wrong:
        from_header(text, TOPICS)
    assert wrong.value.status == 400


@given(OFFSETS, OFFSETS)
def test_what_satisfies_two_satisfies_each(
    one: dict[tuple[str, int], int], other: dict[tuple[str, int], int]
) -> None:
    both = joined(one, other)
    assert not missing(one, both)
    assert not missing(other, both)
    for place, offset in both.items():
        less = {**both, place: offset - 1}
        assert missing(one, less) or missing(other, less) or offset == 0


def test_a_pace_is_known_after_a_second_and_a_standstill_after_the_longest_wait() -> None:
    place, pace = ("t", 0), Pace()
    pace.observe(100.0, {place: 0}, {place: 50})
    assert pace.seconds(100.0, place, 50) is None
    pace.observe(100.5, {place: 5}, {place: 50})
    assert pace.seconds(100.5, place, 50) is None
    pace.observe(101.0, {place: 10}, {place: 50})
    assert pace.seconds(101.0, place, 50) == pytest.approx(4.0)
    pace.observe(110.0, {place: 10}, {place: 50})
    assert pace.seconds(110.0, place, 50) is None
    pace.observe(111.0, {place: 10}, {place: 50})
    assert pace.seconds(111.0, place, 50) == math.inf
    pace.observe(111.1, {place: 11}, {place: 50})
    assert pace.seconds(111.1, place, 50) != math.inf
    pace.observe(112.0, {place: 50}, {place: 50})
    assert pace.seconds(112.0, place, 51) is None


def test_who_waits_for_what_kafka_has_not_makes_nobody_else_give_up() -> None:
    place, pace = ("t", 0), Pace()
    for now in (0.0, 11.0):
        pace.observe(now, {place: 100}, {place: 999})
    assert pace.seconds(11.0, place, 999) == math.inf
    pace.observe(11.1, {place: 100}, {place: 999}, {place: 101})
    assert pace.seconds(11.1, place, 101) is None
    pace.observe(22.0, {place: 100}, {place: 101})
    assert pace.seconds(22.0, place, 101) == math.inf
    assert pace.seconds(22.0, place, 102) == math.inf


def test_a_partition_that_nobody_waits_for_any_more_is_forgotten() -> None:
    pace = Pace()
    for partition in range(1000):
        pace.observe(float(partition), {}, {("t", partition): 1})
    assert len(pace._seen) == len(pace._standing) <= 122
