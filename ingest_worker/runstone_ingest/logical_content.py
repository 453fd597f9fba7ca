"""Reads what a read model says, in the form of the plain model, so that the two can be compared by ``==``.

It reads named columns of one generation over a connection whose search path names it; whoever wants the
tables to agree with one another calls it in a REPEATABLE READ transaction.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from runstone_ingest.plain_model.model import Content
from runstone_ingest.plain_model.points import said
from runstone_store import chunk_arrays, named_sql

_SQL: Final = named_sql.load(__file__, "logical_content.sql")

_KEYS: Final = {
    "params": 2, "param_conflicts": 3, "tags": 2, "artifacts": 2, "dataset_inputs": 3, "model_inputs": 2,
    "model_outputs": 3, "logged_models": 2, "model_artifacts": 3, "marks": 2, "runs": 1,
}  # fmt: skip
"""Tables of a stream and how many columns their keys have; those of points are read apart."""

_CATALOG_KEYS: Final = {
    "installation": 0, "experiments": 1, "experiment_tags": 2, "registered_models": 1,
    "registered_model_tags": 2, "registered_model_aliases": 2, "model_versions": 2, "model_version_tags": 3,
    "verdicts": 1,
}  # fmt: skip

_PLAIN: Final = {"params", "param_conflicts", "tags", "installation", "ingest_partitions", "verdicts"}
"""Tables whose rows are tuples; of the others a single column is itself, several are a dictionary."""


async def of_streams(connection: Any, streams: Sequence[str]) -> dict[str, Content]:
    """What is said of each of *streams*: runs, and logged models that are streams of their own."""
    found: dict[str, Content] = {
        stream: {table: {} for table in (*_KEYS, "metric_points", "latest_metrics", "ranked_metrics")}
        for stream in streams
    }
    for table, width in _KEYS.items():
        for row in await connection.fetch(_SQL[table], streams):
            found[row[0]][table][tuple(row[:width])] = _row(table, row, width)
    for row in await connection.fetch(_SQL["metric_points"], streams):
        points = found[row[0]]["metric_points"].setdefault(tuple(row[:5]), [])
        steps, times = chunk_arrays.steps([row]).tolist(), chunk_arrays.times([row]).tolist()
        points += zip(steps, times, map(said, chunk_arrays.values([row]).tolist()), strict=True)
    for row in await connection.fetch(_SQL["latest_metrics"], streams):
        *key, step, time, value, points = row
        found[row[0]]["latest_metrics"][tuple(key)] = step, time, said(value), points
    for run_id, key, value in await connection.fetch(_SQL["ranked_metrics"], streams):
        found[run_id]["ranked_metrics"][run_id, key] = said(value + 0.0)
    return found


async def of_catalog(connection: Any) -> Content:
    """What is said of experiments, registered models, requests, and the catalog's own sessions."""
    found: Content = {}
    for table, width in _CATALOG_KEYS.items():
        rows = await connection.fetch(_SQL[table])
        found[table] = {tuple(row[:width]): _row(table, row, width) for row in rows}
    return found


async def of_partitions(connection: Any) -> Content:
    """What was counted in each partition, and where the dead letters lie."""
    counted = await connection.fetch(_SQL["ingest_partitions"])
    dead = await connection.fetch(_SQL["dead_letters"])
    return {
        "ingest_partitions": {tuple(row[:2]): tuple(row[2:]) for row in counted},
        "dead_letters": {tuple(row): () for row in dead},
    }


def _row(table: str, row: Any, width: int) -> Any:
    if table in _PLAIN:
        return tuple(row[width:])
    said_of_it = dict(list(row.items())[width:])
    if "missing" in said_of_it:
        said_of_it["missing"] = [(part.lower, part.upper) for part in said_of_it["missing"]]
    return said_of_it if len(said_of_it) > 1 else next(iter(said_of_it.values()))


def differences(expected: Content, found: Content) -> Iterator[str]:
    """Every row in which *found* is not *expected*, as a sentence."""
    for table in sorted(expected.keys() | found.keys()):
        wanted, there = expected.get(table, {}), found.get(table, {})
        for key in sorted(wanted.keys() | there.keys(), key=repr):
            place = f"{table}{list(key)}"
            if key not in there:
                yield f"{place} is missing: expected {_short(wanted[key])}"
            elif key not in wanted:
                yield f"{place} should not be there: found {_short(there[key])}"
            elif wanted[key] != there[key]:
                yield f"{place} differs: {_unlike(wanted[key], there[key])}"


def _unlike(expected: Any, found: Any) -> str:
    if isinstance(expected, dict) and isinstance(found, dict):
        columns = sorted(c for c in expected.keys() | found.keys() if expected.get(c) != found.get(c))
        return "; ".join(
            f"{column}: expected {_short(expected.get(column))}, found {_short(found.get(column))}"
            for column in columns
        )
    if isinstance(expected, list) and isinstance(found, list):
        at = next(
            (n for n, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b),
            min(len(expected), len(found)),
        )
        return (
            f"expected {len(expected)} points, found {len(found)}; the first that differ are number {at}: "
            f"expected {_short(expected[at : at + 3])}, found {_short(found[at : at + 3])}"
        )
    return f"expected {_short(expected)}, found {_short(found)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else text[:300] + "…"
