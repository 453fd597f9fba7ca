"""The writes to logged models. A model's events lie in the stream of its source run, or in one of its own.

A source run that nobody knows is kept as the model's, as MLflow keeps it, but nothing goes into its stream:
that would make a run of it.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from runstone.events import CATALOG, Event, types
from runstone_gateway.clock import now_ms
from runstone_gateway.ledger import Needs, merged
from runstone_gateway.mlflow import rules
from runstone_gateway.mlflow.artifact_locations import location_of, model_root
from runstone_gateway.mlflow.errors import BAD_REQUEST, MlflowError, invalid, missing
from runstone_gateway.mlflow.messages import TAG, many, message
from runstone_gateway.mlflow.routing import Call, Write
from runstone_gateway.mlflow.run_names import run_name
from runstone_gateway.mlflow.runs import acknowledged
from runstone_gateway.mlflow.services import Services
from runstone_gateway.overlay import Subject
from runstone_gateway.undelivered import Conclusion

NAME_MAX: Final = 500
RUN_ID_MAX: Final = 256
MODEL_ID_MAX: Final = 66
VALUE_MAX: Final = 100_000
"""Characters of a value of a param or tag; MLflow's columns take any text."""

REQUEST_VALUES_MAX: Final = 1_000_000
"""Characters of all params, or of all tags, in one request: each event writes the model's row anew."""

EVENT_VALUES_MAX: Final = 100_000
"""Characters of params or tags that go into one event; what is more goes into further ones."""

_FORBIDDEN: Final = ("/", ":", ".", "%", '"', "'")

STATUSES: Final = {
    "LOGGED_MODEL_STATUS_UNSPECIFIED": 0,
    "LOGGED_MODEL_PENDING": 1,
    "LOGGED_MODEL_READY": 2,
    "LOGGED_MODEL_UPLOAD_FAILED": 3,
}
_FINAL: Final = {
    "LOGGED_MODEL_PENDING": "PENDING",
    "LOGGED_MODEL_READY": "READY",
    "LOGGED_MODEL_UPLOAD_FAILED": "FAILED",
}


def no_logged_model(model_id: str) -> MlflowError:
    """There is no logged model of this id."""
    return missing(f"Logged model with ID '{model_id}' not found.")


async def model_artifact_uri(services: Services, model_id: str) -> str | None:
    """Where the files of a logged model lie; null where there is none of that id, or it is deleted."""
    found = await services.writes.model(model_id)
    if found is None or found[1].fields["lifecycle_stage"] == "deleted":
        return None
    experiment_id = int(found[1].fields["experiment_id"])
    return model_root(location_of(experiment_id, await services.writes.experiment(experiment_id)), model_id)


def check_name(name: str) -> None:
    """Refuse a name that no logged model may have. Raises `MlflowError`."""
    if any(character in name for character in _FORBIDDEN):
        raise invalid(
            f"Invalid model name ({name!r}) provided. Model name must be a non-empty string and cannot "
            f"contain the following characters: {_FORBIDDEN}"
        )
    rules.check_length("name", NAME_MAX, name)


def pairs(what: str, found: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Params or tags by their keys; the last of a key wins.

    Raises:
        MlflowError: for a key or value that cannot be kept.
    """
    listed: dict[str, str] = {}
    for at, pair in enumerate(found):
        key, value = pair.get("key", ""), pair.get("value", "")
        rules.check_key(key)
        rules.check_length(f"{what}[{at}].value", VALUE_MAX, value)
        listed[key] = value
    if sum(len(key) + len(value) for key, value in listed.items()) > REQUEST_VALUES_MAX:
        raise invalid(f"'{what}' exceeds {REQUEST_VALUES_MAX} characters in one request; send it in parts.")
    return listed


async def _create(services: Services, call: Call) -> Conclusion:
    fields = call.fields
    name = fields.get("name", "")
    check_name(name)
    name = name or run_name()
    params, tags = _new_params(fields.get("params", ()), {}), pairs("tags", fields.get("tags", ()))
    if len(tags) != len(fields.get("tags", ())):
        raise MlflowError(BAD_REQUEST, "A tag's key occurs twice in the request.")
    source_run_id, model_type = fields.get("source_run_id", ""), fields.get("model_type", "")
    rules.check_length("model_type", NAME_MAX, model_type)
    rules.check_length("source_run_id", RUN_ID_MAX, source_run_id)
    experiment_id = rules.experiment_id(fields["experiment_id"])
    model_id = f"m-{uuid.uuid4().hex}"
    known = await services.writes.run(source_run_id) if source_run_id else None
    experiment = await services.writes.experiment(experiment_id)
    if experiment is None:
        raise rules.no_experiment(experiment_id)
    rules.check_active_experiment(experiment_id, experiment["lifecycle_stage"])
    stream = source_run_id if known is not None else model_id
    time = now_ms()
    first_params, *more_params = _in_parts(params)
    first_tags, *more_tags = _in_parts(tags)
    events: list[Event] = [
        types.ModelCreated(
            model_id, experiment_id, name, time, model_type, source_run_id, first_params, first_tags
        ),
        *(types.ModelParams(model_id, part, time) for part in more_params),
        *(types.ModelTags(model_id, part, time) for part in more_tags),
    ]
    created = {
        "stream": stream,
        "experiment_id": experiment_id,
        "name": name,
        "source_run_id": source_run_id,
        "status": "PENDING",
        "lifecycle_stage": "active",
    }
    written = services.writes.append_to_model(stream, model_id, events, created=created, params=params)
    info = {
        "model_id": model_id,
        "experiment_id": str(experiment_id),
        "name": name,
        "artifact_uri": model_root(location_of(experiment_id, experiment), model_id),
        "creation_timestamp_ms": time,
        "last_updated_timestamp_ms": time,
        "model_type": model_type,
        "source_run_id": source_run_id,
        "status": "LOGGED_MODEL_PENDING",
    }
    found = {"info": info | _listed("tags", tags), "data": _listed("params", params)}
    return acknowledged(written, {"model": found})


async def _finalize(services: Services, call: Call) -> Conclusion:
    model_id = call.fields["model_id"]  # which MLflow's server goes by, not the address
    status = _FINAL.get(call.fields.get("status", ""))
    if status is None:
        raise invalid(f"A logged model is finalized with one of the statuses {', '.join(_FINAL)}.")
    stream, _ = await _model(services, model_id)
    written = services.writes.append_to_model(
        stream,
        model_id,
        [types.ModelFinalized(model_id, status, now_ms())],
        fields={"status": status},
    )

    async def conclude() -> Mapping[str, Any]:
        await written.wait()
        return await _read(services, model_id, written.needs)

    return conclude


async def _delete(services: Services, call: Call) -> Conclusion:
    model_id = call.path["model_id"]
    stream, _ = await _model(services, model_id)
    event = types.ModelDeleted(model_id, now_ms())
    fields = {"lifecycle_stage": "deleted"}
    return acknowledged(services.writes.append_to_model(stream, model_id, [event], fields=fields), {})


async def _log_params(services: Services, call: Call) -> Conclusion:
    model_id, params = call.path["model_id"], call.fields.get("params", ())
    stream, known = await _model(services, model_id, [param.get("key", "") for param in params])
    added = _new_params(params, known.params)
    if not added:
        return acknowledged(None, {})
    time = now_ms()
    events = [types.ModelParams(model_id, part, time) for part in _in_parts(added)]
    return acknowledged(services.writes.append_to_model(stream, model_id, events, params=added), {})


async def _set_tags(services: Services, call: Call) -> Conclusion:
    model_id = call.path["model_id"]
    tags = pairs("tags", call.fields.get("tags", ()))
    stream, _ = await _model(services, model_id)
    if not tags:
        return acknowledged(None, {})
    time = now_ms()
    events = [types.ModelTags(model_id, part, time) for part in _in_parts(tags)]
    return acknowledged(services.writes.append_to_model(stream, model_id, events), {})


async def _delete_tag(services: Services, call: Call) -> Conclusion:
    model_id, key = call.path["model_id"], call.path["key"]
    stream, _ = await _model(services, model_id)
    topic, partition = place = services.ledger.place(stream)
    found = await _read(services, model_id, {topic: {str(partition): await services.ledger.end(place)}})
    if key not in {tag["key"] for tag in found["model"]["info"].get("tags", ())}:
        raise missing(f"No tag with key {key!r} found for model with ID {model_id!r}.")
    event = types.ModelTagDeleted(model_id, key, now_ms())
    return acknowledged(services.writes.append_to_model(stream, model_id, [event]), {})


async def _model(services: Services, model_id: str, params: Sequence[str] = ()) -> tuple[str, Subject]:
    found = await services.writes.model(model_id, params) if len(model_id) <= MODEL_ID_MAX else None
    if found is None:
        raise no_logged_model(model_id)
    return found


async def _read(services: Services, model_id: str, needs: Needs) -> dict[str, Any]:
    """The model as the read API shows it, with *needs* and what this gateway asked of the catalog."""
    needs = merged(await services.ledger.at_least_for(CATALOG), needs)
    path = f"/api/2.0/mlflow/logged-models/{quote(model_id, safe='')}?allow_deleted=true"
    found = await services.read_api.get(path, needs)
    if found is None:
        raise no_logged_model(model_id)
    return found


def _new_params(params: Sequence[Mapping[str, str]], known: Mapping[str, str]) -> dict[str, str]:
    found = pairs("params", params)
    if len(found) != len(params):
        raise MlflowError(BAD_REQUEST, "A param's key occurs twice in the request.")
    for key in found:
        if key in known:
            raise MlflowError(BAD_REQUEST, f"The logged model has the param {key!r} already.")
    return found


def _in_parts(values: Mapping[str, str]) -> list[dict[str, str]]:
    """*values* in as many parts as events of a bounded size need; at least one."""
    parts: list[dict[str, str]] = [{}]
    size = 0
    for key, value in values.items():
        if parts[-1] and size + len(value) > EVENT_VALUES_MAX:
            parts.append({})
            size = 0
        parts[-1][key] = value
        size += len(value)
    return parts


def _listed(member: str, values: Mapping[str, str]) -> dict[str, Any]:
    return {member: [{"key": k, "value": v} for k, v in sorted(values.items())]} if values else {}


_AREA: Final = "/logged-models"
_ONE: Final = f"{_AREA}/{{model_id}}"

ROUTES: Final = (
    Write(
        "POST",
        _AREA,
        _create,
        message(
            "experiment_id", "name", "model_type", "source_run_id",
            params=many("params", TAG), tags=many("tags", TAG),
        ),
        ("experiment_id",),
        echoes=True,
    ),
    Write(
        "PATCH", _ONE, _finalize, message("model_id", status=STATUSES), ("model_id", "status")
    ),
    Write("DELETE", _ONE, _delete, message()),
    Write(
        "POST",
        f"{_ONE}/params",
        _log_params,
        message("model_id", params=many("params", TAG)),
        ("model_id",),
    ),
    Write("PATCH", f"{_ONE}/tags", _set_tags, message("model_id", tags=many("tags", TAG))),
    Write("DELETE", f"{_ONE}/tags/{{key}}", _delete_tag, message()),
)  # fmt: skip
