"""Reads the rows that a batch meets, before its transaction begins, and remembers what it read.

That is safe without a lock: a stream lives in one partition, and the transaction's compare-and-set on that
partition's offset fails if anybody else has written since. For the same reason rows may be remembered while
a partition is ours; whoever loses it, or fails to commit, forgets everything (`Memory.clear`).
"""

from collections import OrderedDict
from typing import Any, Final, Generic, TypeVar

from runstone_ingest.marks import Mark
from runstone_ingest.projector.rows import (
    Changes,
    Experiment,
    Loaded,
    MarkKey,
    Model,
    ModelVersion,
    Needed,
    RegisteredModel,
    Run,
)
from runstone_store import named_sql

REMEMBERED: Final = 50_000
"""Rows of each kind, a few hundred bytes each: more streams than write at a time."""

_SQL: Final = named_sql.load(__file__, "loading.sql")

K = TypeVar("K")
V = TypeVar("V")


class _Recent(Generic[K, V]):
    """The rows that were used last; None is remembered as well: there is no such row."""

    def __init__(self, size: int) -> None:
        self._rows: OrderedDict[K, V | None] = OrderedDict()
        self._size = size

    def take(self, keys: set[K], found: dict[K, V]) -> list[K]:
        """Put what is remembered of *keys* into *found*; the others, in order."""
        unknown = []
        for key in keys:
            if key not in self._rows:
                unknown.append(key)
                continue
            self._rows.move_to_end(key)
            row = self._rows[key]
            if row is not None:
                found[key] = row
        return sorted(unknown)  # type: ignore[type-var]  # keys are texts or tuples of texts

    def keep(self, key: K, row: V | None) -> None:
        self._rows[key] = row
        self._rows.move_to_end(key)
        if len(self._rows) > self._size:
            self._rows.popitem(last=False)

    def clear(self) -> None:
        self._rows.clear()


class Memory:
    """The marks and runs of the partitions that are ours, as the database holds them."""

    def __init__(self, size: int = REMEMBERED) -> None:
        self._marks: _Recent[MarkKey, Mark] = _Recent(size)
        self._runs: _Recent[str, Run] = _Recent(size)

    def clear(self) -> None:
        """Forget everything: somebody else may have written, or our own write may not have happened."""
        self._marks.clear()
        self._runs.clear()

    def committed(self, changes: Changes) -> None:
        """Remember the rows that were written a moment ago."""
        for mark_key, mark in changes.marks.items():
            self._marks.keep(mark_key, mark)
        for run_id, run in changes.runs.items():
            self._runs.keep(run_id, run)

    async def load(self, connection: Any, needed: Needed) -> Loaded:
        """The rows in *needed* that exist, from memory or over the asyncpg *connection*."""
        loaded = Loaded()
        if marks := self._marks.take(needed.marks, loaded.marks):
            await self._load_marks(connection, marks, loaded)
        if runs := self._runs.take(needed.runs, loaded.runs):
            for row in await connection.fetch(_SQL["runs"], runs):
                loaded.runs[row["run_id"]] = Run(**row)
            for run_id in runs:
                self._runs.keep(run_id, loaded.runs.get(run_id))
        if needed.models:
            streams, models = zip(*needed.models, strict=True)
            for row in await connection.fetch(_SQL["models"], streams, models):
                loaded.models[row["stream"], row["model_id"]] = Model(**row)
        if needed.experiment_ids or needed.experiment_names:
            wanted = list(needed.experiment_ids), list(needed.experiment_names)
            for row in await connection.fetch(_SQL["experiments"], *wanted):
                loaded.experiments[row["experiment_id"]] = Experiment(**row)
            loaded.installed = await connection.fetchval(_SQL["installed"])
        if needed.experiment_tags:
            ids, keys = zip(*needed.experiment_tags, strict=True)
            for row in await connection.fetch(_SQL["experiment_tags"], ids, keys):
                loaded.experiment_tags.add((row["experiment_id"], row["key"]))
        if needed.registered_models:
            await self._load_registry(connection, needed, loaded)
        return loaded

    async def _load_registry(self, connection: Any, needed: Needed, loaded: Loaded) -> None:
        names = list(needed.registered_models)
        for row in await connection.fetch(_SQL["registered_models"], names):
            loaded.registered_models[row["name"]] = RegisteredModel(**row, stored=True)
        if needed.versions or needed.stages:
            wanted = list(needed.versions), list(needed.stages)
            for name, *columns in await connection.fetch(_SQL["model_versions"], names, *wanted):
                version = ModelVersion(*columns)
                loaded.registered_models[name].versions[version.version] = version

    async def _load_marks(self, connection: Any, wanted: list[MarkKey], loaded: Loaded) -> None:
        streams, sessions = zip(*wanted, strict=True)
        for stream, session, high_seq, missing, *rest in await connection.fetch(
            _SQL["marks"], streams, sessions
        ):
            ranges = tuple((part.lower, part.upper) for part in missing)
            loaded.marks[stream, session] = Mark(high_seq, ranges, *rest)
        for key in wanted:
            self._marks.keep(key, loaded.marks.get(key))
