"""Runs: create, update, delete, restore."""

from collections.abc import Mapping
from typing import Any, Final

from runstone.events import Event
from runstone.events.limits import INDEXED_MAX, RUN_NAME_MAX, TAG_VALUE_MAX, TIME_MAX
from runstone.events.types import RunDeleted, RunEnded, RunRenamed, RunRestored, RunStarted, Tag
from runstone_gateway.clock import now_ms
from runstone_gateway.ledger import Written
from runstone_gateway.mlflow import rules
from runstone_gateway.mlflow.errors import BAD_REQUEST, MlflowError, invalid
from runstone_gateway.mlflow.messages import INTEGER, STATUSES, TAG, many, message
from runstone_gateway.mlflow.routing import Call, Write
from runstone_gateway.mlflow.run_names import run_name
from runstone_gateway.mlflow.services import Services
from runstone_gateway.undelivered import Conclusion

_CONTEXT: Final = {
    "mlflow.source.name": "source",
    "mlflow.source.type": "source_type",
    "mlflow.source.git.commit": "git_commit",
}
"""Tags that native readers find in a run's context, and the names there."""


MADE_BY_MLFLOW: Final = {"client": "mlflow"}
"""In the context of a run that MLflow's client began: its tags are all the tags it has, none is derived."""

UNKNOWN: Final = "unknown"
"""MLflow's word for a user that nobody knows."""


def acknowledged(written: Written | None, answer: Mapping[str, Any]) -> Conclusion:
    """*answer*, once Kafka has the write; at once where nothing had to be written."""

    async def conclusion() -> Mapping[str, Any]:
        if written is not None:
            await written.wait()
        return answer

    return conclusion


def run_info(run_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """MLflow's RunInfo."""
    experiment_id = fields["experiment_id"]
    location = fields.get("artifact_location") or f"mlflow-artifacts:/{experiment_id}"
    info = {
        "run_uuid": run_id,
        "experiment_id": str(experiment_id),
        "run_name": fields["name"] or "",
        "user_id": fields["user"] or "",
        "status": fields["status"],
        "start_time": fields["start_time"],
        "end_time": fields["end_time"],
        "artifact_uri": f"{location.rstrip('/')}/{run_id}/artifacts",
        "lifecycle_stage": fields["lifecycle_stage"],
        "run_id": run_id,
    }
    return {name: value for name, value in info.items() if value is not None}


async def create(services: Services, call: Call) -> Conclusion:
    """``runs/create``: answers the whole run."""
    now = now_ms()
    with services.run_ids.taken(call.body, call.fields.get("start_time"), now) as run_id:
        return await _create(services, call.fields, run_id, now)


async def _create(services: Services, fields: Mapping[str, Any], run_id: str, now: int) -> Conclusion:
    experiment_id = rules.experiment_id(fields.get("experiment_id", ""))
    start_time = fields.get("start_time", now)
    _check_time("start_time", start_time)
    experiment, known = await services.writes.experiment_and_run(experiment_id, run_id)
    if experiment is None:
        raise rules.no_experiment(experiment_id)
    rules.check_active_experiment(experiment_id, experiment["lifecycle_stage"])
    tags = _tags(fields)
    name = _name(fields, tags)
    if known is not None:
        # the request came before, to a predecessor of this gateway that could not answer it
        return acknowledged(
            None, _created(run_id, known.fields, tags | {rules.RUN_NAME_TAG: known.fields["name"]})
        )
    tags.setdefault(rules.RUN_NAME_TAG, name)
    rules.check_length("run_name", RUN_NAME_MAX, name)
    user, parent = fields.get("user_id", ""), tags.get("mlflow.parentRunId", "")
    rules.check_length("user_id", RUN_NAME_MAX, user)
    if user in {"", UNKNOWN}:
        user = tags.get("mlflow.user", user)
    run = {
        "experiment_id": experiment_id,
        "experiment_name": experiment["name"],
        "artifact_location": experiment["artifact_location"],
        "name": name,
        "user": user,
        "status": "RUNNING",
        "start_time": start_time,
        "end_time": None,
        "lifecycle_stage": "active",
    }
    context = MADE_BY_MLFLOW | {_CONTEXT[key]: value for key, value in tags.items() if key in _CONTEXT}
    started = RunStarted(
        experiment_id,
        experiment["name"],
        name,
        start_time,
        user,
        parent if len(parent.encode()) <= INDEXED_MAX else "",
        context,
    )
    events: list[Event] = [started, *(Tag(key, value, now) for key, value in tags.items())]
    written = services.writes.append(run_id, events, created=run, tags=tags)
    return acknowledged(written, _created(run_id, run, tags))


def _created(run_id: str, run: Mapping[str, Any], tags: Mapping[str, str]) -> dict[str, Any]:
    data = {"tags": [{"key": key, "value": value} for key, value in tags.items()]}
    return {"run": {"info": run_info(run_id, run), "data": data, "inputs": {}}}


def _tags(fields: Mapping[str, Any]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for tag in fields.get("tags", ()):
        key = tag.get("key", "")
        rules.check_key(key)
        if key in tags:
            raise MlflowError(BAD_REQUEST, f"The tag key '{key}' is given more than once.")
        tags[key] = tag.get("value", "")[:TAG_VALUE_MAX]
    return tags


def _name(fields: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    given, tagged = fields.get("run_name", ""), tags.get(rules.RUN_NAME_TAG, "")
    if given and tagged and given != tagged:
        raise invalid(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
            f"(run_name='{given}', mlflow.runName='{tagged}')."
        )
    name: str = given or tagged or run_name()
    return name


async def update(services: Services, call: Call) -> Conclusion:
    """``runs/update``: status, end time, name; answers the run's info."""
    fields = call.fields
    run_id, name, status = named_run(fields), fields.get("run_name", ""), fields.get("status")
    rules.check_length("run_name", RUN_NAME_MAX, name)
    if "end_time" in fields:
        _check_time("end_time", fields["end_time"])
    run = rules.active_run(run_id, await services.writes.run(run_id, fresh=True))
    now = now_ms()
    events: list[Event] = []
    changed: dict[str, Any] = {}
    if status is not None or "end_time" in fields:
        ended = RunEnded(status or run["status"], fields.get("end_time", run["end_time"] or now))
        is_open = ended.status in {"RUNNING", "SCHEDULED"}
        events.append(ended)
        changed |= {"status": ended.status, "end_time": None if is_open else ended.time}
    tags = {}
    if name:
        events += renamed(name, now)
        changed["name"] = tags[rules.RUN_NAME_TAG] = name
    written = services.writes.append(run_id, events, fields=changed, tags=tags) if events else None
    return acknowledged(written, {"run_info": run_info(run_id, {**run, **changed})})


def renamed(name: str, now: int) -> list[Event]:
    """The events of a new name, which is a tag as well."""
    return [RunRenamed(name, now), Tag(rules.RUN_NAME_TAG, name, now)]


def named_run(fields: Mapping[str, Any]) -> str:
    """The id of the run that a request is about, under its new or its old name."""
    run_id: str = fields.get("run_id", "") or fields.get("run_uuid", "")
    return run_id


async def delete(services: Services, call: Call) -> Conclusion:
    """``runs/delete``; deleting a deleted run changes nothing."""
    run_id = call.fields["run_id"]
    rules.known_run(run_id, await services.writes.run(run_id, fresh=True))
    written = services.writes.append(run_id, [RunDeleted(now_ms())], fields={"lifecycle_stage": "deleted"})
    return acknowledged(written, {})


async def restore(services: Services, call: Call) -> Conclusion:
    """``runs/restore``; restoring an active run changes nothing.

    A run of a deleted experiment takes part in that: it is active again when the experiment is restored as
    well.
    """
    run_id = call.fields["run_id"]
    run = rules.known_run(run_id, await services.writes.run(run_id, fresh=True))
    experiment = await services.writes.experiment(run["experiment_id"])
    stage = "deleted" if experiment and experiment["lifecycle_stage"] == "deleted" else "active"
    written = services.writes.append(run_id, [RunRestored(now_ms())], fields={"lifecycle_stage": stage})
    return acknowledged(written, {})


def _check_time(path: str, found: int) -> None:
    if not 0 <= found <= TIME_MAX:
        raise rules.unfit(path, found, "Expected milliseconds since 1970, before the year 10000.")


ROUTES: Final = (
    Write(
        "POST", "/runs/create", create,
        message("experiment_id", "user_id", "run_name", start_time=INTEGER, tags=many("tags", TAG)),
        echoes=True,
    ),
    Write(
        "POST", "/runs/update", update,
        message("run_id", "run_uuid", "run_name", status=STATUSES, end_time=INTEGER), ("run_id",),
    ),
    Write("POST", "/runs/delete", delete, message("run_id"), ("run_id",)),
    Write("POST", "/runs/restore", restore, message("run_id"), ("run_id",)),
)  # fmt: skip
