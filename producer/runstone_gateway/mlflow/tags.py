"""Tags of runs: the last value stays, and the run's name is one of them."""

import json
from typing import Any, Final

from runstone.events import Event
from runstone.events.limits import EVENT_MAX, KEY_MAX, RUN_NAME_MAX
from runstone.events.types import Tag, TagDeleted
from runstone_gateway.clock import now_ms
from runstone_gateway.mlflow import rules
from runstone_gateway.mlflow.errors import invalid, missing
from runstone_gateway.mlflow.messages import message
from runstone_gateway.mlflow.routing import Call, Write
from runstone_gateway.mlflow.runs import acknowledged, named_run, renamed
from runstone_gateway.mlflow.services import Services
from runstone_gateway.undelivered import Conclusion

LOGGED_MODELS_TAG: Final = "mlflow.log-model.history"
"""The tag in which MLflow's clients of version 2 list the models of a run."""

_LISTED: Final = ("run_id", "artifact_path", "utc_time_created", "model_uuid")
"""What the list says of a model besides its flavors."""


async def set_tag(services: Services, call: Call) -> Conclusion:
    """``runs/set-tag``."""
    run_id, key = named_run(call.fields), call.fields["key"]
    value = rules.checked_tag(key, call.fields.get("value", ""))
    rules.active_run(run_id, await services.writes.run(run_id))
    events = tagging(key, value, now_ms())
    if not events:
        return acknowledged(None, {})
    written = services.writes.append(run_id, events, fields=naming(key, value), tags={key: value})
    return acknowledged(written, {})


def tagging(key: str, value: str, now: int) -> list[Event]:
    """The events of a tag that is set. An empty name is none: MLflow then leaves tag and name as they are."""
    if key != rules.RUN_NAME_TAG:
        return [Tag(key, value, now)]
    rules.check_length("run_name", RUN_NAME_MAX, value)
    return renamed(value, now) if value else []


def naming(key: str, value: str) -> dict[str, str]:
    """What the tag changes about the run itself."""
    return {"name": value} if key == rules.RUN_NAME_TAG and value else {}


async def delete_tag(services: Services, call: Call) -> Conclusion:
    """``runs/delete-tag``; the name of a run stays when its tag goes."""
    run_id, key = call.fields["run_id"], call.fields["key"]
    run = await services.writes.run(run_id, tags=(key[: KEY_MAX + 1],))  # no longer one exists
    rules.active_run(run_id, run)
    if run is None or key not in run.tags:
        raise missing(f"No tag with name: {key} in run with id {run_id}")
    written = services.writes.append(run_id, [TagDeleted(key, now_ms())], tags={key: None})
    return acknowledged(written, {})


async def log_model(services: Services, call: Call) -> Conclusion:
    """``runs/log-model``, by clients of version 2: a tag lists the models that a run has logged."""
    run_id, text = call.fields["run_id"], call.fields["model_json"]
    try:
        model = json.loads(text)
    except (ValueError, RecursionError):
        raise invalid(f"Malformed model info. \n {text[:1000]} \n is not a valid JSON.") from None
    needed = ("artifact_path", "flavors", "utc_time_created", "run_id")
    lacking = [name for name in needed if not isinstance(model, dict) or name not in model]
    if lacking:
        # as MLflow writes the set of them
        raise invalid(f"Model json is missing mandatory fields: {{{', '.join(map(repr, lacking))}}}")
    run = await services.writes.run(run_id, tags=(LOGGED_MODELS_TAG,))
    rules.active_run(run_id, run)
    assert run is not None
    value = _with_model(run.tags.get(LOGGED_MODELS_TAG, "[]"), model)
    if len(value.encode()) > EVENT_MAX // 2:
        raise invalid(f"The run's list of models would be larger than {EVENT_MAX // 2} bytes.")
    tags = {LOGGED_MODELS_TAG: value}
    written = services.writes.append(run_id, [Tag(LOGGED_MODELS_TAG, value, now_ms())], tags=tags)
    return acknowledged(written, {})


def _with_model(listed: str, model: dict[str, Any]) -> str:
    try:
        models = json.loads(listed)
    except (ValueError, RecursionError):
        models = []  # somebody set the tag to a text of their own
    kept: dict[str, Any] = {name: model[name] for name in _LISTED if name in model}
    if isinstance(flavors := model["flavors"], dict):
        kept["flavors"] = {
            flavor: {k: v for k, v in config.items() if k != "config"} if isinstance(config, dict) else config
            for flavor, config in flavors.items()
        }
    return json.dumps([*(models if isinstance(models, list) else []), kept])


ROUTES: Final = (
    Write(
        "POST", "/runs/set-tag", set_tag, message("run_id", "run_uuid", "key", "value"), ("run_id", "key")
    ),
    Write("POST", "/runs/delete-tag", delete_tag, message("run_id", "key"), ("run_id", "key")),
    Write(
        "POST", "/runs/log-model", log_model, message("run_id", "model_json"), ("run_id", "model_json")
    ),
)  # fmt: skip
