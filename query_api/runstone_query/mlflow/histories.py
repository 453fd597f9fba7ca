"""Histories of metrics as MLflow's clients see them: each point once, in MLflow's order. Pure.

Equal points (step, time, value) of a run's metric are one, whichever model or dataset they were measured for:
so a client that repeats a request whose answer was lost doubles nothing, and one that logs a run's metrics
again for a model does not either.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from runstone_store import chunk_arrays

_LARGEST: Final = sys.float_info.max

Point = dict[str, Any]


@dataclass(frozen=True, slots=True)
class History:
    """Attributes:
    steps: int64. times: int64, ms. values: float64, infinities as the largest numbers; equal lengths.
    """

    steps: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.values)

    def at(self, chosen: Any) -> "History":
        """The points at some indices, or in a slice."""
        return History(self.steps[chosen], self.times[chosen], self.values[chosen])

    def points(self, key: str, **more: str) -> list[Point]:
        """The points as JSON."""
        columns = zip(self.values.tolist(), self.times.tolist(), self.steps.tolist(), strict=True)
        return [
            {
                "key": key,
                "value": value if value == value else "NaN",  # noqa: PLR0124  # NaN alone is not itself
                "timestamp": time,
                "step": step,
                **more,
            }
            for value, time, step in columns
        ]


def assemble(chunks: Sequence[Mapping[str, Any]]) -> History:
    """The history in *chunks*, ordered by time, step, value."""
    steps, times = chunk_arrays.steps(chunks), chunk_arrays.times(chunks)
    values = np.clip(chunk_arrays.values(chunks), -_LARGEST, _LARGEST)
    found = History(steps, times, values)
    found = found.at(np.lexsort((np.isnan(values), _ordered(values), steps, times)))
    return found.at(_first_of_equals(found))


def by_step(history: History) -> History:
    """*history* ordered by step, time, value, NaN after its equals."""
    values = history.values
    return history.at(np.lexsort((np.isnan(values), _ordered(values), history.times, history.steps)))


def sampled(history: History, most: int) -> History:
    """At most *most* points of a history ordered by step: the first of each of as many even parts, the last.

    Parts are even as SQL's NTILE makes them: where the points do not divide, the first parts have one more.
    """
    n = len(history)
    if n <= most:
        return history
    size, longer = divmod(n, most)
    starts = np.arange(most) * size + np.minimum(np.arange(most), longer)
    starts[-1] = n - 1
    return history.at(starts)


def _ordered(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What *values* sort by: MLflow's stores keep a NaN as a zero beside a mark."""
    return np.where(np.isnan(values), 0.0, values)


def _first_of_equals(history: History) -> npt.NDArray[np.bool_]:
    if not len(history):
        return np.ones(0, np.bool_)
    values = history.values
    same_value = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    same = same_value & (history.steps[1:] == history.steps[:-1]) & (history.times[1:] == history.times[:-1])
    return np.concatenate([[True], ~same])
