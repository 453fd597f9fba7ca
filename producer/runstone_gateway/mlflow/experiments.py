"""Writes to experiments. Names are decided by the catalog, see ``runstone_gateway.verdicts``."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlparse

from runstone.events.limits import EXPERIMENT_NAME_MAX
from runstone.events.types import (
    ExperimentCreated,
    ExperimentDeleted,
    ExperimentRenamed,
    ExperimentRestored,
    ExperimentTag,
    ExperimentTagDeleted,
)
from runstone_gateway.clock import now_ms
from runstone_gateway.mlflow import rules
from runstone_gateway.mlflow.errors import (
    BAD_REQUEST,
    EXISTS,
    INVALID_STATE,
    MlflowError,
    invalid,
    missing,
)
from runstone_gateway.mlflow.messages import TAG, many, message
from runstone_gateway.mlflow.routing import Call, Write
from runstone_gateway.mlflow.services import Services
from runstone_gateway.undelivered import Conclusion
from runstone_gateway.verdicts import Verdict


async def create(services: Services, call: Call) -> Conclusion:
    """``experiments/create``: answers the id."""
    name, location = call.fields["name"], call.fields.get("artifact_location", "")
    tags: dict[str, str] = {}
    rules.check_length("name", EXPERIMENT_NAME_MAX, name)
    _check_location(location)
    for tag in call.fields.get("tags", ()):
        key, value = tag.get("key", ""), tag.get("value", "")
        rules.check_experiment_tag(key, value)
        if key in tags:
            raise MlflowError(EXISTS, f"The tag key '{key}' is given more than once.")
        tags[key] = value

    async def conclude(verdict: Verdict) -> Mapping[str, Any]:
        if verdict.accepted:
            return {"experiment_id": str(verdict.answer["experiment_id"])}
        said = f"Experiment(name={name}) already exists."
        if verdict.answer.get("lifecycle_stage") == "deleted":
            said += " It is in the deleted state: restore it, or choose another name."
        raise MlflowError(EXISTS, said)

    return services.verdicts.request(
        lambda request: ExperimentCreated(name, now_ms(), tags, location, request), conclude
    )


async def update(services: Services, call: Call) -> Conclusion:
    """``experiments/update``: a new name."""
    found, name = rules.experiment_id(call.fields["experiment_id"]), call.fields["new_name"]
    rules.check_length("name", EXPERIMENT_NAME_MAX, name)

    async def conclude(verdict: Verdict) -> Mapping[str, Any]:
        if verdict.code == "deleted":
            raise MlflowError(INVALID_STATE, "Cannot rename a non-active experiment.")
        if verdict.code == "exists":
            raise MlflowError(BAD_REQUEST, f"Another experiment has the name '{name}' already.")
        return _accepted(verdict, found)

    return services.verdicts.request(
        lambda request: ExperimentRenamed(found, name, now_ms(), request), conclude
    )


async def delete(services: Services, call: Call) -> Conclusion:
    """``experiments/delete``: with all of its runs."""
    found = rules.experiment_id(call.fields["experiment_id"])

    async def conclude(verdict: Verdict) -> Mapping[str, Any]:
        services.writes.forget(found)
        return _accepted(verdict, found)

    return services.verdicts.request(lambda request: ExperimentDeleted(found, now_ms(), request), conclude)


async def restore(services: Services, call: Call) -> Conclusion:
    """``experiments/restore``."""
    found = rules.experiment_id(call.fields["experiment_id"])

    async def conclude(verdict: Verdict) -> Mapping[str, Any]:
        services.writes.forget(found)
        return _accepted(verdict, found)

    return services.verdicts.request(lambda request: ExperimentRestored(found, now_ms(), request), conclude)


async def set_tag(services: Services, call: Call) -> Conclusion:
    """``experiments/set-experiment-tag``."""
    key, value = call.fields["key"], call.fields.get("value", "")
    rules.check_experiment_tag(key, value)
    found = rules.experiment_id(call.fields["experiment_id"])

    async def conclude(verdict: Verdict) -> Mapping[str, Any]:
        if verdict.code == "deleted":
            rules.check_active_experiment(found, "deleted")
        return _accepted(verdict, found)

    return services.verdicts.request(
        lambda request: ExperimentTag(found, key, value, now_ms(), request), conclude
    )


async def delete_tag(services: Services, call: Call) -> Conclusion:
    """``experiments/delete-experiment-tag``."""
    key = call.fields["key"]
    found = rules.experiment_id(call.fields["experiment_id"])
    rules.check_key(key)

    async def conclude(verdict: Verdict) -> Mapping[str, Any]:
        if verdict.code == "deleted":
            rules.check_active_experiment(found, "deleted")
        if verdict.code == "missing_tag":
            raise missing(f"No tag with name: {key} in experiment with id {found}")
        return _accepted(verdict, found)

    return services.verdicts.request(
        lambda request: ExperimentTagDeleted(found, key, now_ms(), request), conclude
    )


def _accepted(verdict: Verdict, experiment_id: int) -> Mapping[str, Any]:
    if not verdict.accepted:
        raise rules.no_experiment(experiment_id)
    return {}


def _check_location(location: str) -> None:
    """An artifact location that clients may use. Raises `MlflowError`."""
    if not location:
        return
    try:
        parts = urlparse(location)
    except ValueError:  # such as a bracket that no IPv6 address closes
        raise invalid(f"'artifact_location' is no URL: '{location[:1000]}'") from None
    if parts.fragment or parts.params:
        raise invalid("'artifact_location' URL can't include fragments or params.")
    if ".." in unquote(unquote(unquote(parts.query))):
        raise invalid("Invalid query string")
    if location.startswith("runs:"):
        raise invalid(f"Artifact location cannot be a runs:/ URI. Given: '{location}'")
    if len(location) > rules.ARTIFACT_LOCATION_MAX:
        raise invalid(
            "Invalid artifact path length. The length of the artifact path cannot be greater than "
            f"{rules.ARTIFACT_LOCATION_MAX} characters."
        )


_NAMED: Final = ("experiment_id",)

ROUTES: Final = (
    Write(
        "POST", "/experiments/create", create,
        message("name", "artifact_location", tags=many("tags", TAG)), ("name",),
    ),
    Write(
        "POST", "/experiments/update", update, message("experiment_id", "new_name"), (*_NAMED, "new_name")
    ),
    Write("POST", "/experiments/delete", delete, message("experiment_id"), _NAMED),
    Write("POST", "/experiments/restore", restore, message("experiment_id"), _NAMED),
    Write(
        "POST", "/experiments/set-experiment-tag", set_tag,
        message("experiment_id", "key", "value"), (*_NAMED, "key"),
    ),
    Write(
        "POST", "/experiments/delete-experiment-tag", delete_tag,
        message("experiment_id", "key"), (*_NAMED, "key"),
    ),
)  # fmt: skip
