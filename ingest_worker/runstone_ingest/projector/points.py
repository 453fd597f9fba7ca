"""Metric points of a batch, grouped by series with numpy: no Python per point.

A *segment* is what one envelope says in a row, so a batch is its segments in topic order. `group` sorts the
points of all of them by series and keeps topic order within each.
"""

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runstone.events.types import SeriesKey

Int64s = NDArray[np.int64]
Float64s = NDArray[np.float64]

_SMALLEST = np.iinfo(np.int64).min
_SIGNLESS = np.iinfo(np.int64).max


class Segment(NamedTuple):
    """Points of one run in topic order.

    Attributes:
        run_id: the run. offset: of the record they came with.
        keys: the series that may occur. k: for each point the index into ``keys``.
        s: steps. t: times. v: values; equal lengths, at least 1.
    """

    run_id: str
    offset: int
    keys: Sequence[SeriesKey]
    k: "array[int]"
    s: "array[int]"
    t: "array[int]"
    v: "array[float]"


class Series(NamedTuple):
    """Which series a row is of; sorts like the primary key of ``latest_metrics``."""

    run_id: str
    key: SeriesKey


class Grouped(NamedTuple):
    """The points of a batch by series.

    Attributes:
        series: m series, sorted.
        starts: shape (m + 1,): series i has the points ``starts[i] … starts[i + 1] - 1``; never none.
        first_offsets: shape (m,): the offset of the record of each series's first point.
        s, t, v: shape (n,): steps, times and values, by series and within each in topic order.
        latest: shape (m,): for each series the index of its greatest point by (step, time, value), where
            NaN is less than every number and -0.0 less than 0.0.
    """

    series: list[Series]
    starts: Int64s
    first_offsets: Int64s
    s: Int64s
    t: Int64s
    v: Float64s
    latest: Int64s


def group(segments: Sequence[Segment]) -> Grouped:
    """The points of *segments* (at least one) by series."""
    found: dict[Series, int] = {}
    numbers: list[int] = []  # of the series of all tables of keys, one table after the other
    tables: dict[tuple[str, int], int] = {}  # where; a run's segments share tables, as objects
    k, s, t, v = array("q"), array("q"), array("q"), array("d")
    bases: list[int] = []
    for segment in segments:
        table = segment.run_id, id(segment.keys)
        base = tables.get(table)
        if base is None:
            base = tables[table] = len(numbers)
            numbers += [found.setdefault(Series(segment.run_id, key), len(found)) for key in segment.keys]
        bases.append(base)
        k += segment.k
        s += segment.s
        t += segment.t
        v += segment.v
    lengths = [len(segment.v) for segment in segments]
    ids = np.array(numbers, np.int32)[np.frombuffer(k, np.int64) + np.repeat(bases, lengths)]

    # keys that no point uses (an envelope that was trimmed keeps its table's keys) drop out here
    counts = np.bincount(ids, minlength=len(found))
    series = sorted(one for one, number in found.items() if counts[number])
    sorted_numbers = [found[one] for one in series]
    rank = np.zeros(len(found), np.uint16 if len(series) <= 1 << 16 else np.int32)
    rank[sorted_numbers] = np.arange(len(series))
    order = np.argsort(rank[ids], kind="stable")  # 16 bits: numpy sorts these by radix
    starts = np.concatenate(([0], np.cumsum(counts[sorted_numbers])))
    steps, times = np.frombuffer(s, np.int64)[order], np.frombuffer(t, np.int64)[order]
    values = np.frombuffer(v, np.float64)[order]
    offsets = np.array([segment.offset for segment in segments], np.int64)
    firsts = np.searchsorted(np.cumsum(lengths), order[starts[:-1]], side="right")
    return Grouped(
        series, starts, offsets[firsts], steps, times, values, latest(starts, steps, times, values)
    )


def latest(starts: Int64s, s: Int64s, t: Int64s, v: Float64s) -> Int64s:
    """For each group ``starts[i] … starts[i + 1] - 1`` the index of its greatest point."""
    at, lengths = starts[:-1], np.diff(starts)
    greatest = s == np.repeat(np.maximum.reduceat(s, at), lengths)
    times = np.where(greatest, t, _SMALLEST)
    greatest &= times == np.repeat(np.maximum.reduceat(times, at), lengths)
    bits = v.view(np.int64)
    ordered = np.where(bits < 0, bits ^ _SIGNLESS, bits)  # the bits of doubles in the order of their values
    ordered = np.where(np.isnan(v), _SMALLEST + 1, ordered)
    ordered = np.where(greatest, ordered, _SMALLEST)
    winners = np.flatnonzero(ordered == np.repeat(np.maximum.reduceat(ordered, at), lengths))
    return winners[np.searchsorted(winners, at)]
