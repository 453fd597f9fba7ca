"""The writes to registered models: each is a request to the catalog, and its verdict the answer.

Nothing about names is checked against the read model before: what counts is the order in the catalog.
"""

from collections.abc import Mapping
from typing import Any, Final

from runstone.events import types
from runstone.events.registry_rules import (
    DESCRIPTION_MAX,
    check_alias,
    check_length,
    check_new_alias,
    check_new_model_name,
    version_number,
)
from runstone_gateway.clock import now_ms
from runstone_gateway.mlflow.errors import EXISTS, MlflowError
from runstone_gateway.mlflow.messages import TAG, many, message
from runstone_gateway.mlflow.registry import (
    answer_model,
    check_name,
    check_tag_key,
    checked_tag,
    checked_tags,
    no_model,
    no_version,
    tags_document,
)
from runstone_gateway.mlflow.routing import Call, Write
from runstone_gateway.mlflow.services import Services
from runstone_gateway.undelivered import Conclusion
from runstone_gateway.verdicts import Verdict


async def _create(services: Services, call: Call) -> Conclusion:
    name, description = call.fields["name"], call.fields.get("description", "")
    check_new_model_name(name)
    check_length("description", description, DESCRIPTION_MAX)
    tags = checked_tags(call.fields.get("tags", ()))
    time = now_ms()

    async def conclude(verdict: Verdict) -> Mapping[str, Any]:
        if not verdict.accepted:
            raise MlflowError(EXISTS, f"Registered Model (name={name}) already exists.")
        made = {"name": name, "creation_timestamp": time, "last_updated_timestamp": time}
        described = {"description": description} if description else {}
        return {"registered_model": made | described | tags_document(tags)}

    return services.verdicts.request(
        lambda request: types.RegisteredModelCreated(name, time, description, tags, request), conclude
    )


async def _rename(services: Services, call: Call) -> Conclusion:
    name, new_name = call.fields["name"], call.fields["new_name"]
    check_new_model_name(new_name, "new_name")
    check_name(name, no_model(name))

    async def conclude(verdict: Verdict) -> Mapping[str, Any]:
        if verdict.code == "exists":
            raise MlflowError(EXISTS, f"Registered Model (name={new_name}) already exists.")
        if not verdict.accepted:
            raise no_model(name)
        return await answer_model(services, new_name, verdict)

    return services.verdicts.request(
        lambda request: types.RegisteredModelRenamed(name, new_name, now_ms(), request), conclude
    )


async def _update(services: Services, call: Call) -> Conclusion:
    name, description = call.fields["name"], call.fields.get("description", "")
    check_name(name, no_model(name))
    check_length("description", description, DESCRIPTION_MAX)

    async def conclude(verdict: Verdict) -> Mapping[str, Any]:
        return await answer_model(services, name, verdict)

    return services.verdicts.request(
        lambda request: types.RegisteredModelUpdated(name, description, now_ms(), request), conclude
    )


async def _delete(services: Services, call: Call) -> Conclusion:
    name = call.fields["name"]
    check_name(name, no_model(name))
    return services.verdicts.request(
        lambda request: types.RegisteredModelDeleted(name, now_ms(), request), _nothing_unless_missing(name)
    )


async def _set_tag(services: Services, call: Call) -> Conclusion:
    name, key, value = call.fields["name"], call.fields["key"], call.fields.get("value", "")
    check_name(name, no_model(name))
    checked_tag(key, value)
    return services.verdicts.request(
        lambda request: types.RegisteredModelTag(name, key, value, now_ms(), request),
        _nothing_unless_missing(name),
    )


async def _delete_tag(services: Services, call: Call) -> Conclusion:
    name, key = call.fields["name"], call.fields["key"]
    check_name(name, no_model(name))
    check_tag_key(key)
    return services.verdicts.request(
        lambda request: types.RegisteredModelTagDeleted(name, key, now_ms(), request),
        _nothing_unless_missing(name),
    )


async def _set_alias(services: Services, call: Call) -> Conclusion:
    name, alias, version = call.fields["name"], call.fields["alias"], call.fields["version"]
    number = version_number(version)
    check_name(name, no_version(name, number or version))
    check_new_alias(alias)

    async def conclude(verdict: Verdict) -> Mapping[str, Any]:
        if not verdict.accepted:
            raise no_version(name, number or version)
        return {}

    return services.verdicts.request(
        lambda request: types.RegisteredModelAlias(name, alias, number, now_ms(), request), conclude
    )


async def _delete_alias(services: Services, call: Call) -> Conclusion:
    name, alias = call.fields["name"], call.fields["alias"]
    check_name(name, no_model(name))
    check_alias(alias)
    return services.verdicts.request(
        lambda request: types.RegisteredModelAliasDeleted(name, alias, now_ms(), request),
        _nothing_unless_missing(name),
    )


def _nothing_unless_missing(name: str) -> Any:
    async def conclude(verdict: Verdict) -> Mapping[str, Any]:
        if not verdict.accepted:
            raise no_model(name)
        return {}

    return conclude


_AREA: Final = "/registered-models"

ROUTES: Final = (
    Write(
        "POST",
        f"{_AREA}/create",
        _create,
        message("name", "description", tags=many("tags", TAG)),
        ("name",),
        echoes=True,
    ),
    Write("POST", f"{_AREA}/rename", _rename, message("name", "new_name"), ("name", "new_name")),
    Write("PATCH", f"{_AREA}/update", _update, message("name", "description"), ("name",)),
    Write("DELETE", f"{_AREA}/delete", _delete, message("name"), ("name",)),
    Write("POST", f"{_AREA}/set-tag", _set_tag, message("name", "key", "value"), ("name", "key")),
    Write("DELETE", f"{_AREA}/delete-tag", _delete_tag, message("name", "key"), ("name", "key")),
    Write(
        "POST",
        f"{_AREA}/alias",
        _set_alias,
        message("name", "alias", "version"),
        ("name", "alias", "version"),
    ),
    Write("DELETE", f"{_AREA}/alias", _delete_alias, message("name", "alias"), ("name", "alias")),
)
