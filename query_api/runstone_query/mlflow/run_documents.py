"""Runs as MLflow's JSON has them. Pure, but for the statement that the rows come from.

Lists that are empty are left out, ``inputs`` and ``outputs`` are not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from runstone_query.mlflow.numbers import value_to_json
from runstone_query.mlflow.run_language import DERIVED_TAGS, filled
from runstone_query.statements import pieces

STATEMENT: Final = filled(pieces(__file__, "runs.sql")["runs"])
"""Answers a row for each of the runs whose ids are its argument."""

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


def page(rows: Sequence[Row], run_ids: Sequence[str], *, model_inputs: bool) -> Page:
    """The documents in *rows* of `STATEMENT`, in the order of *run_ids*, with or without the models read."""
    found = {row["run_id"]: row for row in rows}
    large: list[LargeField] = []
    documents = [
        _document(found[run_id], large, model_inputs=model_inputs) for run_id in run_ids if run_id in found
    ]
    return Page(documents, large)


def _document(run: Row, large: list[LargeField], *, model_inputs: bool) -> Document:
    inputs = _list(run, "model_inputs") if model_inputs else []
    return {
        "info": info(run),
        "data": _without_empty(
            metrics=[
                {"key": key, "value": value_to_json(float(value)), "timestamp": time, "step": step}
                for key, value, time, step in _list(run, "metrics")
            ],
            params=[_pair(key, value) for key, value in _list(run, "params")],
            tags=_tags(run),
        ),
        "inputs": _without_empty(
            dataset_inputs=[_dataset(run, dataset, large) for dataset in _list(run, "datasets")],
            model_inputs=[{"model_id": model_id} for model_id in inputs],
        ),
        "outputs": _without_empty(
            model_outputs=[
                {"model_id": model_id, "step": step} for model_id, step in _list(run, "model_outputs")
            ]
        ),
    }


def _list(run: Row, name: str) -> list[Any]:
    return orjson.loads(run[name]) if run[name] is not None else []


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


def _tags(run: Row) -> list[Document]:
    derived = {key: run[key] for key in DERIVED_TAGS if run[key] is not None}
    return [_pair(key, value) for key, value in (derived | dict(_list(run, "tags"))).items()]


def _dataset(run: Row, found: Document, large: list[LargeField]) -> Document:
    dataset = {name: found[name] for name in ("name", "digest", "source_type", "source", "schema", "profile")}
    for field, sha256 in found["stored"].items():
        large.append(LargeField(dataset, field, run["experiment_id"], run["run_id"], sha256))
    for field in ("schema", "profile"):
        if not dataset[field] and field not in found["stored"]:
            del dataset[field]
    tags = [_pair(key, value) for key, value in found["tags"].items()]
    return _without_empty(tags=tags) | {"dataset": dataset}


def _pair(key: str, value: str) -> Document:
    return {"key": key, "value": value}


def _without_empty(**lists: list[Document]) -> Document:
    return {name: members for name, members in lists.items() if members}
