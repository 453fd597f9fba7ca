"""Thins a series out to what a chart can show, keeping what the eye would miss.

The points are cut, in their order, into buckets of (nearly) equal numbers of points, and of each bucket the
first, the last, the lowest and the highest value stay (M4: Jugel et al., VLDB 2014), so that a spike is
never lost and a line drawn through the rest covers the same pixels. NaN is neither lowest nor highest; where
the series has any, the first one of each bucket stays as well, since a loss that turned NaN is the one
point that matters. Infinities are values like others.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


def kept(values: Floats, max_points: int) -> Indices:
    """The ascending indices of at most *max_points* of *values* (at least 1).

    All of them where they fit. The first and the last point and the extremes are always among them, as far
    as *max_points* allows; below four (five with NaN) points, last, first, lowest, highest go first.
    """
    count = len(values)
    if count <= max_points:
        return np.arange(count)
    per_bucket = 5 if np.isnan(values).any() else 4
    buckets = max(1, max_points // per_bucket)
    # multiplied first and divided then, so that sizes differ by one at most and the ends are exact
    bounds = np.arange(buckets + 1) * count // buckets
    starts, lengths = bounds[:-1], np.diff(bounds)
    choices = [
        bounds[1:] - 1,
        starts,
        _first_where(values == np.repeat(np.fmin.reduceat(values, starts), lengths), starts),
        _first_where(values == np.repeat(np.fmax.reduceat(values, starts), lengths), starts),
        _first_where(np.isnan(values), starts),
    ]
    if max_points < per_bucket:
        first = dict.fromkeys(int(i) for choice in choices for i in choice)
        return np.array(sorted(list(first)[:max_points]))
    return np.unique(np.concatenate(choices))


def _first_where(mask: npt.NDArray[np.bool_], starts: Indices) -> Indices:
    """The index of the first true element of each bucket that has one."""
    hits = np.flatnonzero(mask)
    _, first = np.unique(np.searchsorted(starts, hits, side="right"), return_index=True)
    found: Indices = hits[first]
    return found
