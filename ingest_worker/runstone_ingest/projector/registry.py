"""The rules of the model registry, which lives in the catalog: names, numbered versions, aliases, stages.

They decide as MLflow's own store does, by the order of the catalog's one partition, so that any number of
gateways may ask at the same time: a version's number is one more than the greatest its model ever gave out,
a rename takes along whatever hangs on the model, and a name that was deleted is new, its versions count from
1 again. An event that cannot take effect changes nothing, whether somebody waits for the verdict or not.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from runstone.events import types
from runstone_ingest.projector import decisions
from runstone_ingest.projector.decisions import ACCEPTED, Decision
from runstone_ingest.projector.rows import Changes, ModelVersion, Moved, Needed, RegisteredModel

_NO_MODEL: Final = Decision(decisions.MISSING)
_NO_VERSION: Final = Decision(decisions.MISSING_VERSION)

_ModelEvent = (
    types.RegisteredModelCreated
    | types.RegisteredModelRenamed
    | types.RegisteredModelUpdated
    | types.RegisteredModelDeleted
    | types.RegisteredModelTag
    | types.RegisteredModelTagDeleted
    | types.RegisteredModelAliasDeleted
    | types.ModelVersionCreated
)
_VersionEvent = (
    types.RegisteredModelAlias
    | types.ModelVersionUpdated
    | types.ModelVersionStaged
    | types.ModelVersionDeleted
    | types.ModelVersionTag
    | types.ModelVersionTagDeleted
)
RegistryEvent = _ModelEvent | _VersionEvent


def needed_of_registry(found: Needed, event: RegistryEvent) -> None:
    """Add to *found* which rows the rule of *event* asks for."""
    found.registered_models.add(event.name)
    if isinstance(event, types.RegisteredModelRenamed):
        found.registered_models.add(event.new_name)
    if isinstance(event, _VersionEvent):
        found.versions.add(event.version)
    if isinstance(event, types.ModelVersionStaged) and event.archive_existing:
        found.stages.add(event.stage)


_ModelRule = Callable[[RegisteredModel, Any], None]


def _on_a_model(rule: _ModelRule) -> Callable[[Changes, Any], Decision]:
    def decide(changes: Changes, event: _ModelEvent) -> Decision:
        model = changes.registered_model(event.name)
        if model is None:
            return _NO_MODEL
        rule(model, event)
        return ACCEPTED

    return decide


def _created(changes: Changes, event: types.RegisteredModelCreated) -> Decision:
    if changes.registered_model(event.name) is not None:
        return Decision(decisions.EXISTS)
    made = RegisteredModel(event.name, event.time, event.time, event.description)
    made.tags.update(event.tags)
    changes.registered_models[event.name] = made
    return ACCEPTED


def _renamed(changes: Changes, event: types.RegisteredModelRenamed) -> Decision:
    model = changes.registered_model(event.name)
    if model is None:
        return _NO_MODEL
    if event.new_name != event.name and changes.registered_model(event.new_name) is not None:
        return Decision(decisions.EXISTS)
    changes.registered_models[event.name] = None
    changes.registered_models[event.new_name] = model
    model.name, model.last_update_time = event.new_name, event.time
    for version in model.versions.values():
        version.last_update_time = event.time
    if model.stored:
        changes.moved.append(Moved(event.name, event.new_name, event.time))
    return ACCEPTED


def _updated(model: RegisteredModel, event: types.RegisteredModelUpdated) -> None:
    model.description, model.last_update_time = event.description, event.time


def _deleted(changes: Changes, event: types.RegisteredModelDeleted) -> Decision:
    model = changes.registered_model(event.name)
    if model is None:
        return _NO_MODEL
    changes.registered_models[event.name] = None
    if model.stored:
        changes.moved.append(Moved(event.name, None, event.time))
    return ACCEPTED


def _tag(model: RegisteredModel, event: types.RegisteredModelTag) -> None:
    model.tags[event.key] = event.value


def _tag_deleted(model: RegisteredModel, event: types.RegisteredModelTagDeleted) -> None:
    model.tags[event.key] = None


def _alias_deleted(model: RegisteredModel, event: types.RegisteredModelAliasDeleted) -> None:
    model.aliases[event.alias] = None


def _version_created(changes: Changes, event: types.ModelVersionCreated) -> Decision:
    model = changes.registered_model(event.name)
    if model is None:
        return _NO_MODEL
    model.last_version += 1
    model.last_update_time = event.time
    model.versions[model.last_version] = ModelVersion(
        model.last_version,
        event.source,
        event.time,
        event.time,
        event.run_id,
        event.run_link,
        event.description,
        event.model_id,
        event.user,
        storage_location=event.storage_location,
    )
    for key, value in event.tags.items():
        model.version_tags[model.last_version, key] = value
    return Decision("", {"version": model.last_version})


_VersionRule = Callable[[RegisteredModel, ModelVersion, Any], None]


def _on_a_version(rule: _VersionRule) -> Callable[[Changes, Any], Decision]:
    def decide(changes: Changes, event: _VersionEvent) -> Decision:
        model = changes.registered_model(event.name)
        if model is None:
            return _NO_MODEL
        version = model.versions.get(event.version)
        if version is None or version.lifecycle_stage == "deleted":
            return _NO_VERSION
        rule(model, version, event)
        return Decision("", {"version": version.version})

    return decide


def _alias(model: RegisteredModel, _version: ModelVersion, event: types.RegisteredModelAlias) -> None:
    model.aliases[event.alias] = event.version


def _version_updated(
    _model: RegisteredModel, version: ModelVersion, event: types.ModelVersionUpdated
) -> None:
    version.description, version.last_update_time = event.description, event.time


def _version_staged(model: RegisteredModel, version: ModelVersion, event: types.ModelVersionStaged) -> None:
    if event.archive_existing:
        for other in model.versions.values():
            if other.current_stage == event.stage and other.lifecycle_stage == "active":
                other.current_stage, other.last_update_time = "Archived", event.time
    version.current_stage = event.stage
    version.last_update_time = model.last_update_time = event.time


def _version_deleted(model: RegisteredModel, version: ModelVersion, event: types.ModelVersionDeleted) -> None:
    version.lifecycle_stage = "deleted"
    version.source = version.run_id = version.run_link = ""
    version.description = version.model_id = version.user_name = version.storage_location = ""
    version.last_update_time = model.last_update_time = event.time
    model.deleted_versions.add(event.version)
    for alias, at in model.aliases.items():
        if at == event.version:
            model.aliases[alias] = None


def _version_tag(model: RegisteredModel, _version: ModelVersion, event: types.ModelVersionTag) -> None:
    model.version_tags[event.version, event.key] = event.value


def _version_tag_deleted(
    model: RegisteredModel, _version: ModelVersion, event: types.ModelVersionTagDeleted
) -> None:
    model.version_tags[event.version, event.key] = None


IN_THE_REGISTRY: Final[Mapping[type, Callable[[Changes, Any], Decision]]] = {
    types.RegisteredModelCreated: _created,
    types.RegisteredModelRenamed: _renamed,
    types.RegisteredModelUpdated: _on_a_model(_updated),
    types.RegisteredModelDeleted: _deleted,
    types.RegisteredModelTag: _on_a_model(_tag),
    types.RegisteredModelTagDeleted: _on_a_model(_tag_deleted),
    types.RegisteredModelAliasDeleted: _on_a_model(_alias_deleted),
    types.ModelVersionCreated: _version_created,
    types.RegisteredModelAlias: _on_a_version(_alias),
    types.ModelVersionUpdated: _on_a_version(_version_updated),
    types.ModelVersionStaged: _on_a_version(_version_staged),
    types.ModelVersionDeleted: _on_a_version(_version_deleted),
    types.ModelVersionTag: _on_a_version(_version_tag),
    types.ModelVersionTagDeleted: _on_a_version(_version_tag_deleted),
}
"""Rules of the registry: (changes, event) -> what is said to it."""
