"""Logged models as MLflow's JSON has them: what they are, and the metrics that were measured for them.

MLflow's clients read all points of a model's metrics, not just the latest; of a long series they get the
newest ones. Which versions of registered models were made of a model stands in the tag
``mlflow.modelVersions``: what clients have written there, and what the registry knows besides.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from runstone_query import client_json
from runstone_query.mlflow.numbers import value_to_json
from runstone_query.snapshot import Snapshot
from runstone_store import named_sql

_BLOCKS: Final = named_sql.load(__file__, "logged_models.sql")

POINTS_ALONE: Final = 1000
POINTS_IN_A_PAGE: Final = 50
"""Points that are shown of each series: of one model, and of each of a page of models."""

_VERSIONS_TAG: Final = "mlflow.modelVersions"
_STATUS: Final = {
    "PENDING": "LOGGED_MODEL_PENDING",
    "READY": "LOGGED_MODEL_READY",
    "FAILED": "LOGGED_MODEL_UPLOAD_FAILED",
}

Document = dict[str, Any]
Row = Mapping[str, Any]


async def logged_models(
    snapshot: Snapshot, model_ids: Sequence[str], points: int, *, deleted: bool = False
) -> list[Document]:
    """Those of *model_ids* that there are, in their order, with at most *points* of each metric's series.

    With *deleted* those that are deleted are there too.
    """
    rows = {
        row["model_id"]: row
        for row in await snapshot.rows(_BLOCKS["models"], model_ids)
        if deleted or row["lifecycle_stage"] == "active"
    }
    metrics, registrations = defaultdict(list), defaultdict(list)
    for row in await snapshot.rows(_BLOCKS["metrics"], list(rows), points):
        metrics[row["model_id"]].append(_metric(row))
    for row in await snapshot.rows(_BLOCKS["registrations"], list(rows)):
        registrations[row["model_id"]].append({"name": row["name"], "version": row["version"]})
    return [
        _model(rows[model_id], metrics[model_id], registrations[model_id])
        for model_id in model_ids
        if model_id in rows
    ]


def _model(row: Row, metrics: list[Document], registrations: list[Document]) -> Document:
    location = row["artifact_location"].rstrip("/") or f"mlflow-artifacts:/{row['experiment_id']}"
    info = {
        "model_id": row["model_id"],
        "experiment_id": str(row["experiment_id"]),
        "name": row["name"],
        "creation_timestamp_ms": row["creation_time"],
        "last_updated_timestamp_ms": row["last_update_time"],
        "artifact_uri": f"{location}/models/{row['model_id']}/artifacts",
        "status": _STATUS[row["status"]],
        "model_type": row["model_type"],
        "source_run_id": row["source_run_id"],
    }
    if tags := tags_shown(row["tags"], registrations):
        info["tags"] = [{"key": key, "value": value} for key, value in sorted(tags.items())]
    data: Document = {}
    if row["params"]:
        data["params"] = [{"key": key, "value": value} for key, value in sorted(row["params"].items())]
    if metrics:
        data["metrics"] = metrics
    return {"info": info, "data": data}


def tags_shown(tags: Mapping[str, str], registrations: Sequence[Document]) -> dict[str, str]:
    """A model's tags, with the versions that the registry knows among those that its clients told."""
    if not registrations:
        return dict(tags)
    try:
        told = client_json.loads(tags.get(_VERSIONS_TAG) or "[]")
    except ValueError:
        return dict(tags)
    if type(told) is not list:
        return dict(tags)
    known = [registration for registration in registrations if registration not in told]
    shown = ", ".join(_spaced(version) for version in (*told, *known))
    return {**tags, _VERSIONS_TAG: f"[{shown}]"} if known else dict(tags)


def _spaced(version: object) -> str:
    """JSON as MLflow's server writes it."""
    if type(version) is not dict:
        return orjson.dumps(version).decode()
    members = (
        f"{orjson.dumps(key).decode()}: {orjson.dumps(value).decode()}" for key, value in version.items()
    )
    return f"{{{', '.join(members)}}}"


def _metric(row: Row) -> Document:
    found = {
        "key": row["key"],
        "value": value_to_json(row["value"]),
        "timestamp": row["time"],
        "step": row["step"],
        "model_id": row["model_id"],
        "run_id": row["run_id"],
    }
    if row["dataset_name"]:
        found["dataset_name"] = row["dataset_name"]
    if row["dataset_digest"]:
        found["dataset_digest"] = row["dataset_digest"]
    return found
