"""Runs as MLflow's JSON has them: rows of many tables put together, a page at a time.

`load` asks one statement per table whatever the page's length; what is put together from them is pure.
Lists that are empty are left out, ``inputs`` and ``outputs`` are not.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from runstone_query.mlflow.numbers import value_to_json
from runstone_query.mlflow.run_language import DERIVED_TAGS, filled
from runstone_query.snapshot import Snapshot
from runstone_query.statements import pieces

_BLOCKS: Final = {name: filled(block) for name, block in pieces(__file__, "runs.sql").items()}

Row = Mapping[str, Any]
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LargeField:
    """A text of a dataset that lies in the artifact store: ``dataset[field]`` is to become it."""

    dataset: Document
    field: str
    experiment_id: int
    run_id: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Page:
    """Attributes:
    large: what is still to be read from the store, outside of the transaction.
    """

    documents: list[Document]
    large: list[LargeField]


async def load(snapshot: Snapshot, run_ids: Sequence[str], *, model_inputs: bool) -> Page:
    """The documents of those of *run_ids* that exist, in their order; the models they read are optional."""
    found = {row["run_id"]: row for row in await snapshot.rows(_BLOCKS["runs"], run_ids)}
    tables = ("metrics", "params", "tags", "datasets", "model_outputs")
    rows = {table: _by_run(await snapshot.rows(_BLOCKS[table], run_ids)) for table in tables}
    rows["model_inputs"] = _by_run(
        await snapshot.rows(_BLOCKS["model_inputs"], run_ids) if model_inputs else []
    )
    large: list[LargeField] = []
    documents = []
    for run_id in run_ids:
        if run_id in found:
            of_run = {table: by_run.get(run_id, []) for table, by_run in rows.items()}
            documents.append(_document(found[run_id], of_run, large))
    return Page(documents, large)


def _by_run(rows: Sequence[Row]) -> Mapping[str, list[Row]]:
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["run_id"]].append(row)
    return found


def _document(run: Row, rows: Mapping[str, list[Row]], large: list[LargeField]) -> Document:
    return {
        "info": info(run),
        "data": _without_empty(
            metrics=[_metric(row) for row in rows["metrics"]],
            params=[_pair(row["key"], row["value"]) for row in rows["params"]],
            tags=_tags(run, rows["tags"]),
        ),
        "inputs": _without_empty(
            dataset_inputs=[_dataset(run, row, large) for row in rows["datasets"]],
            model_inputs=[{"model_id": row["model_id"]} for row in rows["model_inputs"]],
        ),
        "outputs": _without_empty(
            model_outputs=[
                {"model_id": row["model_id"], "step": row["step"]} for row in rows["model_outputs"]
            ]
        ),
    }


def info(run: Row) -> Document:
    """What MLflow calls a run's info; times in ms."""
    found = {
        "run_uuid": run["run_id"],
        "experiment_id": str(run["experiment_id"]),
        "run_name": run["name"] or "",
        "user_id": run["user_id"],
        "status": run["status"],
        "start_time": run["start_time"] or 0,
        "artifact_uri": run["artifact_uri"],
        "lifecycle_stage": run["lifecycle_stage"],
        "run_id": run["run_id"],
    }
    return found | ({"end_time": run["end_time"]} if run["end_time"] else {})


def _metric(row: Row) -> Document:
    return {
        "key": row["key"],
        "value": value_to_json(row["value"]),
        "timestamp": row["time"],
        "step": row["step"],
    }


def _tags(run: Row, rows: Sequence[Row]) -> list[Document]:
    given = {row["key"]: row["value"] for row in rows}
    derived = {key: run[key] for key in DERIVED_TAGS if run[key] is not None}
    return [_pair(key, value) for key, value in (derived | given).items()]


def _dataset(run: Row, row: Row, large: list[LargeField]) -> Document:
    dataset = {name: row[name] for name in ("name", "digest", "source_type", "source", "schema", "profile")}
    for field, sha256 in row["stored"].items():
        large.append(LargeField(dataset, field, run["experiment_id"], run["run_id"], sha256))
    for field in ("schema", "profile"):
        if not dataset[field] and field not in row["stored"]:
            del dataset[field]
    tags = [_pair(key, value) for key, value in row["tags"].items()]
    return _without_empty(tags=tags) | {"dataset": dataset}


def _pair(key: str, value: str) -> Document:
    return {"key": key, "value": value}


def _without_empty(**lists: list[Document]) -> Document:
    return {name: members for name, members in lists.items() if members}
