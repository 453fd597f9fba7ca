"""Thinning a series out: what always stays, and how much."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from runstone_query.downsampling import kept

VALUES = st.lists(st.floats(), max_size=300).map(lambda found: np.array(found, dtype=np.float64))


@given(VALUES, st.integers(1, 320))
def test_never_more_than_asked_for_in_order_and_none_twice(values: np.ndarray, most: int) -> None:
    found = kept(values, most)
    assert len(found) <= most
    assert list(found) == sorted(set(found.tolist()))
    assert all(0 <= i < len(values) for i in found)


@given(VALUES)
def test_all_points_stay_where_they_fit(values: np.ndarray) -> None:
    assert list(kept(values, max(1, len(values)))) == list(range(len(values)))


@given(VALUES.filter(len), st.integers(5, 100))
def test_the_ends_the_extremes_and_a_nan_stay(values: np.ndarray, most: int) -> None:
    found = kept(values, most)
    assert {0, len(values) - 1} <= set(found.tolist())
    numbers = values[~np.isnan(values)]
    if len(numbers):
        assert numbers.min() in values[found]
        assert numbers.max() in values[found]
    if len(numbers) < len(values):
        assert int(np.flatnonzero(np.isnan(values))[0]) in found


@given(VALUES.filter(len))
def test_few_points_are_the_last_then_the_first_then_the_extremes(values: np.ndarray) -> None:
    assert kept(values, 1)[-1] == len(values) - 1
    assert {0, len(values) - 1} == set(kept(values, 2).tolist()) | {0, len(values) - 1}
    assert kept(values, 2)[0] == 0 or len(values) == 1


def test_most_of_what_may_stay_does() -> None:
    values = np.random.default_rng(1).normal(size=100_000)
    assert len(kept(values, 1000)) > 950
    found = kept(np.sin(np.arange(1000) / 10), 40)
    assert len(found) >= 20


def test_every_bucket_keeps_its_own_extremes() -> None:
    values = np.zeros(1000)
    spikes = [5, 333, 666, 995]
    values[spikes] = [1, -1, np.inf, -np.inf]
    assert set(spikes) <= set(kept(values, 40).tolist())
