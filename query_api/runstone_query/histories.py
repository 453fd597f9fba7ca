"""The points of a metric: read in chunks, put into native order, thinned out where that is asked for.

Native order is step, time, model and dataset, topic order. The points of a key over all its models and
datasets are one here; topic order counts within each series, so it does not matter how points are cut into
chunks. Assembling runs in a thread, so that a million points do not hold up other requests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from runstone.events.encoding import value_to_json
from runstone_query.downsampling import kept
from runstone_query.snapshot import Snapshot
from runstone_store import chunk_arrays, named_sql

_BLOCKS: Final = named_sql.load(__file__, "histories.sql")


@dataclass(frozen=True, slots=True)
class History:
    """Attributes:
    steps: int64. times: int64, ms. values: float64; equal lengths.
    points: how many points the metric has, those left out included.
    """

    steps: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    points: int


async def read_chunks(snapshot: Snapshot, run_id: str, key: str) -> Sequence[Mapping[str, Any]]:
    """The chunks of a metric, in their order, for `assemble`."""
    return await snapshot.rows(_BLOCKS["chunks"], run_id, key)


def assemble(chunks: Sequence[Mapping[str, Any]], max_points: int | None) -> History:
    """The history in *chunks*, at most *max_points* of its points."""
    steps, times, values = chunk_arrays.steps(chunks), chunk_arrays.times(chunks), chunk_arrays.values(chunks)
    # lexsort is stable, so the chunks' order decides between equal (step, time)
    order = np.lexsort((times, steps))
    if max_points is not None:
        order = order[kept(values[order], max_points)]
    return History(steps[order], times[order], values[order], len(values))


def values_to_json(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | list[float | str]:
    """Values that orjson writes exactly: it would write null for what is not finite."""
    if np.isfinite(values).all():
        return values
    return [value_to_json(value) for value in values.tolist()]


async def latest(snapshot: Snapshot, run_id: str) -> list[dict[str, Any]]:
    """The run's metrics by key, each with its latest point and the number of its points."""
    rows = await snapshot.rows(_BLOCKS["metrics"], run_id)
    return [{**row, "value": value_to_json(row["value"])} for row in rows]
