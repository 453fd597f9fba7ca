"""Experiments as the API shows them, and the ids that names stand for."""

from collections.abc import Sequence
from typing import Any, Final

from runstone.events import identity
from runstone_query.snapshot import Snapshot
from runstone_store import named_sql

_BLOCKS: Final = named_sql.load(__file__, "experiments.sql")

Experiment = dict[str, Any]


async def by_id(snapshot: Snapshot, experiment_id: int) -> Experiment | None:
    """The experiment with its tags."""
    row = await snapshot.row(_BLOCKS["by_id"], experiment_id)
    return None if row is None else (await _with_tags(snapshot, [row]))[0]


async def page(
    snapshot: Snapshot, name: str | None, lifecycle_stage: str | None, after: str | None, limit: int
) -> list[Experiment]:
    """At most *limit* experiments by name: of one *name* or *lifecycle_stage*, beyond the name *after*."""
    return await _with_tags(
        snapshot, await snapshot.rows(_BLOCKS["page"], name, lifecycle_stage, after, limit)
    )


async def _with_tags(snapshot: Snapshot, rows: Sequence[Any]) -> list[Experiment]:
    found = {row["experiment_id"]: {**row, "tags": {}} for row in rows}
    for tag in await snapshot.rows(_BLOCKS["tags"], list(found)):
        found[tag["experiment_id"]]["tags"][tag["key"]] = tag["value"]
    return list(found.values())


async def ids_of(snapshot: Snapshot, names: Sequence[str]) -> list[int]:
    """The ids of the experiments of *names*.

    A run can be here before the catalog's record that announces its experiment: a name that the catalog does
    not have stands for the id that its clients give it, unless an experiment has that id and another name by
    now.
    """
    known = {row["name"]: row["experiment_id"] for row in await snapshot.rows(_BLOCKS["ids_of"], names)}
    announced = {identity.experiment_id(name) for name in names if name not in known}
    renamed = {row["experiment_id"] for row in await snapshot.rows(_BLOCKS["taken"], list(announced))}
    return sorted({*known.values(), *(announced - renamed)})
