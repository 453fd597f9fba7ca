"""Logical digests: what two generations must agree on, whatever the way in which each came about.

The digest of a stream (a run, or a logged model that has none) is made of one digest a table, over named
columns (docs/read-model.md, "Digests"). It knows nothing of how points are cut into chunks, of verdicts, of
epochs and owners, nor of when anything arrived. A digest belongs to an offset: two are compared where the
same records were applied, which `Stream.last_offset` says.

All of it is read over one connection with ``search_path`` set to the generation, in a transaction of the
caller, so that many statements see one state.
"""

import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from runstone_store import chunk_arrays, named_sql

AT_ONCE: Final = 200
"""Streams that are digested together."""

_SQL: Final = named_sql.load(__file__, "digest.sql")

TABLES: Final = (
    "run",
    "params",
    "param_conflicts",
    "tags",
    "latest_metrics",
    "ranked_metrics",
    "artifacts",
    "dataset_inputs",
    "model_inputs",
    "model_outputs",
    "logged_models",
    "model_artifacts",
    "sessions",
    "dead_letters",
)
"""The tables that one statement each digests; ``points`` comes on top."""

_POINT: Final = np.dtype([("step", ">i8"), ("time", ">i8"), ("value", ">f8")])
_CHUNKS_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Stream:
    """What a generation holds of one stream.

    Attributes:
        experiment_id: None where no ``run_started`` has come.
        last_offset: of the last record that was applied to it; None for a stream that is no run.
        tables: the digest of each table that has rows of it.
    """

    stream: str
    experiment_id: int | None
    last_offset: int | None
    tables: Mapping[str, str]

    @property
    def digest(self) -> str:
        """All of it: the SHA-256 of the tables' digests, in hexadecimal digits."""
        return combined(f"{table}={digest}" for table, digest in sorted(self.tables.items()))


def combined(parts: Iterable[str]) -> str:
    """One digest for *parts*, in their order."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


async def streams(connection: Any) -> set[str]:
    """The ids of all streams but the catalog."""
    return {row[0] for row in await connection.fetch(_SQL["streams"])}


async def some(connection: Any, streams: Sequence[str]) -> list[Stream]:
    """The *streams* that there are."""
    return await _digested(connection, await connection.fetch(_SQL["some_streams"], list(streams)))


async def catalog(connection: Any) -> Mapping[str, str]:
    """The digest of each of the catalog's tables that has rows."""
    return {table: digest for table, digest in await connection.fetch(_SQL["catalog"]) if digest}


async def _digested(connection: Any, rows: Sequence[Any]) -> list[Stream]:
    tables: dict[str, dict[str, str]] = {row[0]: {} for row in rows}
    names = list(tables)
    for table in TABLES:
        for stream, digest in await connection.fetch(_SQL[table], names):
            tables[stream][table] = digest
    async for stream, digest in _points(connection, names):
        tables[stream]["points"] = digest
    return [Stream(row[0], row[1], row[2], tables[row[0]]) for row in rows]


async def _points(connection: Any, streams: Sequence[str]) -> AsyncIterator[tuple[str, str]]:
    """The digest of the points of each of *streams* that has some: its series, each in topic order."""
    stream, series, found = "", b"", hashlib.sha256()
    lines: list[str] = []
    async for row in connection.cursor(_SQL["points"], streams, prefetch=_CHUNKS_AT_ONCE):
        name = repr(tuple(row[1:5])).encode()
        if (row[0], name) != (stream, series):
            if series:
                lines.append(f"{series!r} {found.hexdigest()}")
            if row[0] != stream and lines:
                yield stream, combined(lines)
                lines = []
            stream, series, found = row[0], name, hashlib.sha256()
        found.update(_packed(row))
    if series:
        yield stream, combined([*lines, f"{series!r} {found.hexdigest()}"])


def _packed(chunk: Mapping[str, Any]) -> bytes:
    """A chunk's points, 24 bytes each."""
    values = chunk_arrays.values([chunk])
    points = np.empty(len(values), _POINT)
    points["step"] = chunk_arrays.steps([chunk])
    points["time"] = chunk_arrays.times([chunk])
    points["value"] = np.where(np.isnan(values), np.nan, values)  # a NaN's other bits mean nothing
    return points.tobytes()
