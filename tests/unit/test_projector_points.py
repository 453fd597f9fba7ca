"""Grouping by numpy agrees with grouping by hand."""

import math
import struct
from array import array

from hypothesis import given
from hypothesis import strategies as st

from runstone.events.types import SeriesKey
from runstone_ingest.projector.points import Segment, Series, group

KEYS = [SeriesKey("a"), SeriesKey("b"), SeriesKey("b", "m"), SeriesKey("b", "", "d", "1")]
small = st.integers(-2, 2)
values = st.one_of(st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf]), st.floats())
points = st.tuples(st.integers(0, 3), small, st.integers(0, 2), values)
segments = st.lists(
    st.tuples(st.sampled_from(["r1", "r2"]), st.integers(0, 50), st.lists(points, min_size=1, max_size=8)),
    min_size=1,
    max_size=6,
)


def rank(point: tuple[int, int, float]) -> tuple[int, int, bool, float, float]:
    step, time, value = point
    nan = math.isnan(value)
    return step, time, not nan, 0.0 if nan else value, 0.0 if nan else math.copysign(1, value)


def bits(values: list[float]) -> bytes:
    return struct.pack(f"{len(values)}d", *values)


@given(segments)
def test_points_are_grouped_by_series_in_topic_order_with_their_latest(drawn):
    expected: dict[Series, list[tuple[int, int, float]]] = {}
    first: dict[Series, int] = {}
    made = []
    for run_id, offset, listed in drawn:
        k, s, t, v = zip(*listed, strict=True)
        made.append(Segment(run_id, offset, KEYS, array("q", k), array("q", s), array("q", t), array("d", v)))
        for number, *point in listed:
            series = Series(run_id, KEYS[number])
            expected.setdefault(series, []).append(tuple(point))
            first.setdefault(series, offset)
    grouped = group(made)
    assert grouped.series == sorted(expected)
    assert grouped.first_offsets.tolist() == [first[series] for series in grouped.series]
    for number, series in enumerate(grouped.series):
        part = slice(grouped.starts[number], grouped.starts[number + 1])
        steps, times, found = zip(*expected[series], strict=True)
        assert grouped.s[part].tolist() == list(steps)
        assert grouped.t[part].tolist() == list(times)
        assert bits(grouped.v[part].tolist()) == bits(list(found))
        at = grouped.latest[number]
        latest = grouped.s[at].item(), grouped.t[at].item(), grouped.v[at].item()
        assert rank(latest) == max(map(rank, expected[series]))


def test_more_series_than_sixteen_bits_are_told_apart():
    keys = [SeriesKey(f"k{n:06}") for n in range(70_000)]
    numbers = array("q", range(70_000))
    segment = Segment("r", 0, keys, numbers, numbers, numbers, array("d", map(float, numbers)))
    grouped = group([segment])
    assert grouped.v.tolist() == [float(n) for n in range(70_000)]
