"""The writes to model versions. Which number a version gets is the catalog's to say; where its files lie is
settled here before it is asked, since what its source names may be gone or be renamed later.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from runstone.events import types
from runstone.events.registry_rules import (
    DESCRIPTION_MAX,
    SOURCE_MAX,
    canonical_stage,
    check_archiving,
    check_length,
    check_model_name,
    version_number,
)
from runstone_gateway.clock import now_ms
from runstone_gateway.mlflow.artifact_locations import location_of, run_root
from runstone_gateway.mlflow.errors import invalid, missing
from runstone_gateway.mlflow.logged_models import model_artifact_uri, no_logged_model
from runstone_gateway.mlflow.messages import BOOLEAN, TAG, many, message
from runstone_gateway.mlflow.registry import (
    answer_version,
    check_name,
    check_tag_key,
    checked_tag,
    checked_tags,
    no_model,
    no_version,
    read_newest,
    tags_document,
)
from runstone_gateway.mlflow.routing import Call, Write
from runstone_gateway.mlflow.services import Services
from runstone_gateway.mlflow.version_sources import (
    ModelsUri,
    check_scheme,
    check_source_of_model,
    check_source_of_run,
    parse_models_uri,
    registered_source,
)
from runstone_gateway.undelivered import Conclusion
from runstone_gateway.verdicts import Verdict

RUN_ID_MAX: Final = 256
"""Characters, as of MLflow's run ids."""


@dataclass(frozen=True, slots=True)
class _Lineage:
    """Attributes:
    source: as the version keeps it. run_id, model_id: what it comes from; empty for nothing.
    storage_location: where its files lie, if that is another place than *source*.
    """

    source: str
    run_id: str
    model_id: str
    storage_location: str = ""


async def _create(services: Services, call: Call) -> Conclusion:
    fields = call.fields
    name, description = fields["name"], fields.get("description", "")
    check_length("source", fields["source"], SOURCE_MAX)
    check_scheme(fields["source"])
    check_length("run_id", fields.get("run_id", ""), RUN_ID_MAX)
    lineage = await _lineage(services, fields)
    check_name(name, no_model(name))
    tags = checked_tags(fields.get("tags", ()))
    run_link = fields.get("run_link", "")
    check_length("description", description, DESCRIPTION_MAX)
    check_length("run_link", run_link, SOURCE_MAX)
    time = now_ms()

    def make(request: str) -> types.ModelVersionCreated:
        return types.ModelVersionCreated(
            name,
            lineage.source,
            time,
            lineage.run_id,
            run_link,
            description,
            lineage.model_id,
            tags=tags,
            request=request,
            storage_location=lineage.storage_location,
        )

    async def conclude(verdict: Verdict) -> Mapping[str, Any]:
        if not verdict.accepted:
            raise no_model(name)
        version = {
            "name": name,
            "version": str(verdict.answer["version"]),
            "creation_timestamp": time,
            "last_updated_timestamp": time,
            "current_stage": "None",
            "description": description,
            "source": lineage.source,
            "run_id": lineage.run_id,
            "status": "READY",
            "run_link": run_link,
        }
        return {"model_version": version | tags_document(tags)}

    return services.verdicts.request(make, conclude)


async def _lineage(services: Services, fields: Mapping[str, Any]) -> _Lineage:
    """What the version comes from. Raises `MlflowError` where that is not there, or not what is named."""
    source, run_id, model_id = fields["source"], fields.get("run_id", ""), fields.get("model_id", "")
    if (named := registered_source(source)) is not None:
        return await _of_registered(services, fields, named)

    async def artifacts_of_run(run: str) -> str | None:
        known = await services.writes.run(run)
        if known is None:
            return None
        return run_root(location_of(known.fields["experiment_id"], known.fields), run)

    async def artifacts_of_model(model: str) -> str | None:
        return await model_artifact_uri(services, model)

    if not model_id:
        await check_source_of_run(source, run_id, artifacts_of_run)
        return _Lineage(source, run_id, "")
    await check_source_of_model(source, model_id, artifacts_of_model)
    found = await services.writes.model(model_id)
    if found is None or found[1].fields["lifecycle_stage"] == "deleted":
        raise no_logged_model(model_id)
    location = await model_artifact_uri(services, model_id) if parse_models_uri(source) else None
    return _Lineage(source, run_id or found[1].fields["source_run_id"], model_id, location or "")


async def _of_registered(services: Services, fields: Mapping[str, Any], named: ModelsUri) -> _Lineage:
    source = fields["source"]
    version = await _resolved(services, named)
    query = {"name": named.name, "version": version}
    found = await read_newest(services, "model-versions/get", query)
    location = await read_newest(services, "model-versions/get-download-uri", query)
    if found is None or location is None:
        raise no_version(named.name, version)
    of_source = found["model_version"]
    if fields.get("run_id", of_source["run_id"]) != of_source["run_id"] or fields.get("model_id"):
        raise invalid(
            f"Invalid model version source: '{source}'. The run_id and model_id request parameters must "
            "match the referenced model version."
        )
    canonical = f"models:/{named.name}/{of_source['version']}"
    return _Lineage(canonical, of_source["run_id"], "", location["artifact_uri"])


async def _resolved(services: Services, named: ModelsUri) -> str:
    """The number of the version that is named by number, alias, stage or as the latest."""
    check_model_name(named.name)
    found = await read_newest(services, "registered-models/get", {"name": named.name})
    if found is None:
        raise no_model(named.name)
    model = found["registered_model"]
    if named.version:
        return named.version
    if named.alias:
        for alias in model.get("aliases", ()):
            if alias["alias"] == named.alias:
                return str(alias["version"])
        if named.alias.lower() != "latest":
            raise invalid(f"Registered model alias {named.alias} not found.")
    stage = canonical_stage(named.stage) if named.stage else None
    numbers = [
        int(version["version"])
        for version in model.get("latest_versions", ())
        if stage in {None, version["current_stage"]}
    ]
    if not numbers:
        staged = f" and stage '{named.stage}'" if named.stage else ""
        raise missing(f"No versions of model with name '{named.name}'{staged} found")
    return str(max(numbers))


async def _update(services: Services, call: Call) -> Conclusion:
    name, version, number = _version(call)
    description = call.fields.get("description", "")
    check_length("description", description, DESCRIPTION_MAX)

    async def conclude(verdict: Verdict) -> Mapping[str, Any]:
        return await answer_version(services, name, version, verdict)

    return services.verdicts.request(
        lambda request: types.ModelVersionUpdated(name, number, description, now_ms(), request), conclude
    )


async def _transition(services: Services, call: Call) -> Conclusion:
    archive = call.fields.get("archive_existing_versions", False)
    if archive:
        check_archiving(call.fields["stage"])
    name, version, number = _version(call)
    stage = canonical_stage(call.fields["stage"])

    async def conclude(verdict: Verdict) -> Mapping[str, Any]:
        return await answer_version(services, name, version, verdict)

    return services.verdicts.request(
        lambda request: types.ModelVersionStaged(name, number, stage, now_ms(), archive, request), conclude
    )


async def _delete(services: Services, call: Call) -> Conclusion:
    name, version, number = _version(call)
    return services.verdicts.request(
        lambda request: types.ModelVersionDeleted(name, number, now_ms(), request),
        _nothing_unless_missing(name, version),
    )


async def _set_tag(services: Services, call: Call) -> Conclusion:
    name, version, number = _version(call)
    key, value = call.fields["key"], call.fields.get("value", "")
    checked_tag(key, value)
    return services.verdicts.request(
        lambda request: types.ModelVersionTag(name, number, key, value, now_ms(), request),
        _nothing_unless_missing(name, version),
    )


async def _delete_tag(services: Services, call: Call) -> Conclusion:
    name, version, number = _version(call)
    key = call.fields["key"]
    check_tag_key(key)
    return services.verdicts.request(
        lambda request: types.ModelVersionTagDeleted(name, number, key, now_ms(), request),
        _nothing_unless_missing(name, version),
    )


def _version(call: Call) -> tuple[str, str, int]:
    """Name, version as it was written, and its number."""
    name, version = call.fields["name"], call.fields["version"]
    check_name(name, no_version(name, version))
    return name, version, version_number(version)


def _nothing_unless_missing(name: str, version: str) -> Any:
    async def conclude(verdict: Verdict) -> Mapping[str, Any]:
        if not verdict.accepted:
            raise no_version(name, version)
        return {}

    return conclude


_AREA: Final = "/model-versions"
_OF_A_VERSION: Final = ("name", "version")

ROUTES: Final = (
    Write(
        "POST",
        f"{_AREA}/create",
        _create,
        message("name", "source", "run_id", "run_link", "description", "model_id", tags=many("tags", TAG)),
        ("name", "source"),
        echoes=True,
    ),
    Write("PATCH", f"{_AREA}/update", _update, message("name", "version", "description"), _OF_A_VERSION),
    Write(
        "POST",
        f"{_AREA}/transition-stage",
        _transition,
        message("name", "version", "stage", archive_existing_versions=BOOLEAN),
        (*_OF_A_VERSION, "stage"),
    ),
    Write("DELETE", f"{_AREA}/delete", _delete, message("name", "version"), _OF_A_VERSION),
    Write(
        "POST",
        f"{_AREA}/set-tag",
        _set_tag,
        message("name", "version", "key", "value"),
        (*_OF_A_VERSION, "key"),
    ),
    Write(
        "DELETE",
        f"{_AREA}/delete-tag",
        _delete_tag,
        message("name", "version", "key"),
        (*_OF_A_VERSION, "key"),
    ),
)
