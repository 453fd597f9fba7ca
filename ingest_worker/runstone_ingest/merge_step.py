"""One step of merging: some small chunks of a run become fewer large ones, in one transaction.

Nothing else ever changes a chunk, so what a step reads stays true until it commits, with one exception: a
redrive throws chunks away. Both hold the run's advisory lock for their transaction; a step that does not
get it at once does nothing. Other workers that believe the run to be theirs are kept away by the same lock.
Ingest only ever inserts chunks, and is not touched: a step locks no row that ingest writes, and chunks that
come meanwhile are later in topic order than all it has seen.
"""

import asyncio
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

from runstone_ingest import merged_copy
from runstone_ingest.merged_copy import Merged
from runstone_ingest.unmerged import FULL
from runstone_store import chunk_arrays, named_sql

STEP_POINTS: Final = 8 * FULL
"""Points after which a step takes no further series: some ten milliseconds."""

STEP_CHUNKS: Final = 4096

_SQL: Final = named_sql.load(__file__, "merging.sql")


class Step(NamedTuple):
    """How many points and chunks were merged into how many chunks; none: there is nothing left to do."""

    points: int
    chunks: int
    made: int


NOTHING: Final = Step(0, 0, 0)


class _GoneError(Exception):
    """Somebody has deleted chunks by hand, without the lock: then nothing is merged."""


async def newest(connection: Any, run_id: str) -> int | None:
    """The offset up to which *run_id* has chunks that wait; None where it has none."""
    found = await connection.fetchval(_SQL["newest"], run_id)
    return None if found is None else int(found)


async def merge(connection: Any, run_id: str, until: int) -> Step:
    """Merge waiting chunks of *run_id* that begin at offset *until* at the latest, of a few series.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: the connection or the server fails.
    """
    try:
        async with connection.transaction(isolation="read_committed"):  # what the lock brings must be seen
            return await _merge(connection, run_id, until)
    except _GoneError:
        return NOTHING


async def _merge(connection: Any, run_id: str, until: int) -> Step:
    if not await connection.fetchval(_SQL["try_lock"], run_id):
        return NOTHING
    waiting = _some(await connection.fetch(_SQL["waiting"], run_id, until, STEP_CHUNKS))
    if not waiting:
        return NOTHING
    series = zip(*sorted(set(map(_series, waiting))), strict=True)
    again = _taken_along(waiting, await connection.fetch(_SQL["last_merged"], run_id, *map(list, series)))
    old = [
        *await _take(connection, "take_merged", again),
        *await _take(connection, "take_waiting", waiting),
    ]
    # in a thread: some ten milliseconds, for which ingest's tasks in this loop need not stand still
    made, pieces = await asyncio.to_thread(_encoded, old)
    await connection.copy_to_table(
        "merged_chunks", source=_stream(pieces), columns=merged_copy.COLUMNS, format="binary"
    )
    return Step(sum(len(chunk.values) for chunk in made), len(old), len(made))


async def _take(connection: Any, block: str, rows: Sequence[Any]) -> Sequence[Any]:
    if not rows:
        return []
    found: Sequence[Any] = await connection.fetch(_SQL[block], [row["ctid"] for row in rows])
    if len(found) != len(rows):
        raise _GoneError
    return found


def _encoded(old: Sequence[Any]) -> tuple[list[Merged], list[bytes]]:
    """What the chunks *old* become, and the COPY of it."""
    made = _merged(sorted(old, key=lambda row: (_series(row), row["first_offset"])))
    return made, list(merged_copy.encode(made))


async def _stream(pieces: Sequence[bytes]) -> Any:
    for piece in pieces:
        yield piece


def _series(row: Any) -> tuple[str, ...]:
    return row["key"], row["model_id"], row["dataset_name"], row["dataset_digest"]


def _some(waiting: Sequence[Any]) -> list[Any]:
    """As many of *waiting* as a step takes, the first at any rate; they begin where the first begins."""
    taken: list[Any] = []
    points = 0
    for row in waiting:
        if taken and points + row["points"] > STEP_POINTS:
            break
        taken.append(row)
        points += row["points"]
    return taken


def _taken_along(waiting: Sequence[Any], last: Sequence[Any]) -> list[Any]:
    """Those of the *last* merged chunks that are merged again: no longer than twice what comes behind them.

    So a series that grows by little has few chunks, and each of its points is copied a few times at most.
    """
    points: dict[tuple[str, ...], int] = {}
    for row in waiting:
        points[_series(row)] = points.get(_series(row), 0) + row["points"]
    taken: list[Any] = []
    ended = set()
    for row in last:
        series = _series(row)
        if series in ended or row["points"] >= FULL or row["points"] > 2 * points[series]:
            ended.add(series)
            continue
        points[series] += row["points"]
        taken.append(row)
    return taken


def _merged(rows: Sequence[Any]) -> list[Merged]:
    """The chunks that *rows*, sorted by series and offset, become."""
    made: list[Merged] = []
    for _, of_series in groupby(rows, key=_series):
        part: list[Any] = []
        points = 0
        for row in of_series:
            part.append(row)
            points += (len(row["sent_vals"]) - 20) // 12
            if points >= FULL:
                made.append(_one(part))
                part, points = [], 0
        if part:
            made.append(_one(part))
    return made


def _one(rows: Sequence[Any]) -> Merged:
    first = rows[0]
    return Merged(
        (first["run_id"], *_series(first)),
        first["first_offset"],
        max(row["last_offset"] for row in rows),
        chunk_arrays.steps(rows),
        chunk_arrays.times(rows),
        chunk_arrays.values(rows),
    )
