"""What follows from the points of a run's series: the latest of each, and the ranking by it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from runstone.events.types import SeriesKey


class Point(NamedTuple):
    """A point of a single call."""

    key: SeriesKey
    step: int
    time: int
    value: float


Entry = tuple[int, int, float]
"""Step, time, value."""


def _rank(entry: Entry) -> tuple[Any, ...]:
    step, time, value = entry
    if math.isnan(value):
        return step, time, 0, 0.0, 0.0
    return step, time, 1, value, math.copysign(1, value)


def said(value: float) -> str:
    """A double as a text: every NaN is one, and -0.0 is not 0.0."""
    return repr(float(value))


def derived(series: Mapping[tuple[str, SeriesKey], Sequence[Entry]], status: str) -> dict[str, Any]:
    """The tables of points: all in topic order, the latest, and for a run that is over the ranking."""
    latest = {at: max(entries, key=_rank) for at, entries in series.items()}
    ranked: dict[tuple[Any, ...], Any] = {}
    if status not in {"RUNNING", "SCHEDULED"}:
        for run_id, name in {(run_id, key.key) for run_id, key in latest}:
            best = max((e for (_r, key), e in latest.items() if key.key == name), key=_rank)
            ranked[run_id, name] = said(best[2] + 0.0)  # sorted by value, so that -0.0 is 0.0 there
    return {
        "metric_points": {
            (run_id, *key): [(s, t, said(v)) for s, t, v in entries]
            for (run_id, key), entries in series.items()
        },
        "latest_metrics": {
            (run_id, *key): (s, t, said(v), len(series[run_id, key]))
            for (run_id, key), (s, t, v) in latest.items()
        },
        "ranked_metrics": ranked,
    }
