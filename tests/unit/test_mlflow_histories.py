"""Histories as MLflow's clients see them: each point once, in order, evenly sampled."""

import math
import struct
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstone_query.mlflow import recent_histories
from runstone_query.mlflow.errors import MlflowError
from runstone_query.mlflow.histories import assemble, by_step, sampled
from runstone_query.mlflow.paging import offset_of, token_of

Point = tuple[int, int, float]

VALUES = st.sampled_from([0.0, -0.0, 1.0, -1.0, math.nan, math.inf, -math.inf, 1e-300]) | st.floats()
POINTS = st.lists(st.tuples(st.integers(-2, 2), st.integers(0, 2), VALUES), max_size=30)


def array(values: Sequence[Any], format_: str) -> bytes:
    """As Postgres' array_send writes it."""
    elements = b"".join(struct.pack(">i" + format_, 8, value) for value in values)
    return struct.pack(">iiIii", 1, 0, 20 if format_ == "q" else 701, len(values), 1) + elements


def chunk(points: list[Point]) -> dict[str, Any]:
    steps, times, values = zip(*points, strict=True)
    return {
        "sent_steps": array(steps, "q"),
        "sent_times": array(times, "q"),
        "sent_vals": array(values, "d"),
    }


def seen(point: Point) -> tuple[int, int, float | str]:
    """A point as MLflow tells it."""
    step, time, value = point
    if math.isnan(value):
        return time, step, "NaN"
    return time, step, max(-1.7976931348623157e308, min(1.7976931348623157e308, value))


def told(history: Any) -> list[tuple[int, int, float | str]]:
    return [(p["timestamp"], p["step"], p["value"]) for p in history.points("k")]


@given(POINTS, st.integers(1, 5))
def test_a_history_is_the_set_of_its_points_in_order(points: list[Point], cut: int) -> None:
    parts = [points[:cut], points[cut:]]
    found = told(assemble([chunk(part) for part in parts if part]))
    assert len(found) == len(set(found))
    assert set(found) == {seen(point) for point in points}
    keys = [(time, step, 0.0 if value == "NaN" else value) for time, step, value in found]
    assert keys == sorted(keys)


@given(POINTS, st.integers(1, 12))
def test_a_sample_has_the_first_of_each_even_part_and_the_last(points: list[Point], most: int) -> None:
    whole = by_step(assemble([chunk(points)] if points else []))
    found = told(sampled(whole, most))
    everything = told(whole)
    assert len(found) == min(most, len(everything))
    if len(everything) > most:
        assert found[-1] == everything[-1]
        assert most == 1 or found[0] == everything[0]
        size, longer = divmod(len(everything), most)
        starts = [sum(size + (n < longer) for n in range(part)) for part in range(most)]
        assert found[:-1] == [everything[at] for at in starts[:-1]]


@given(st.integers(1, 2**63 - 1))
def test_a_page_token_holds_its_offset(offset: int) -> None:
    assert offset_of(token_of(offset)) == offset
    assert offset_of("") == 0


@given(st.text(min_size=1))
def test_any_other_page_token_is_refused(token: str) -> None:
    with pytest.raises(MlflowError, match="Invalid page token"):
        offset_of(token)


def test_recent_histories_are_kept_as_long_as_they_are_whole_and_have_room(monkeypatch):
    monkeypatch.setattr(recent_histories, "POINTS_MOST", 4)
    recent = recent_histories.RecentHistories()
    two = assemble([chunk([(0, 0, 1.0), (1, 1, 2.0)])])
    a, b, c = (recent_histories.Source("g", "run", key, 2, 0) for key in "abc")
    for source in (a, b, a):
        recent.keep(source, two)
    assert recent.get(a) is two
    assert recent.get(a._replace(points=3)) is None
    recent.keep(c, two)
    assert [recent.get(source) is two for source in (a, b, c)] == [True, False, True]
    recent.keep(b, assemble([chunk([(n, n, 1.0) for n in range(5)])]))
    assert recent.get(b) is None
