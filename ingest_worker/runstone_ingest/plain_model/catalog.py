"""The rules of the catalog: experiments by name, the model registry, and what is said to requests."""

from dataclasses import dataclass, field
from typing import Any

from runstone.events import identity, types

Row = dict[str, Any]
Verdict = tuple[str, Row]
"""A code, empty where the request was accepted, and what is answered."""

_ACCEPTED: Verdict = ("", {})


@dataclass
class _Registered:
    """A registered model and all that hangs on it."""

    row: Row
    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    versions: dict[int, Row] = field(default_factory=dict)
    version_tags: dict[tuple[int, str], str] = field(default_factory=dict)


class Catalog:
    """Everything that has a unique name."""

    def __init__(self) -> None:
        self.installation: tuple[str, int, int] | None = None
        self.experiments: dict[int, Row] = {0: _experiment("Default", 0, "")}
        self.experiment_tags: dict[tuple[int, str], str] = {}
        self.registered: dict[str, _Registered] = {}
        self.verdicts: dict[str, Verdict] = {}

    def apply(self, event: Any) -> None:
        """The next new event."""
        if isinstance(event, types.InstallationCreated):
            self._installed(event)
            return
        verdict = (
            self._on_an_experiment(event) if "experiment" in event.TYPE else self._in_the_registry(event)
        )
        if event.request:
            self.verdicts.setdefault(event.request, verdict)

    def _installed(self, event: types.InstallationCreated) -> None:
        if self.installation is None:
            self.installation = event.installation_id, event.partitions, event.time
            default = self.experiments[0]
            if default["creation_time"] == 0:
                default["creation_time"] = event.time
                default["last_update_time"] = max(default["last_update_time"], event.time)

    def _on_an_experiment(self, event: Any) -> Verdict:
        if isinstance(event, types.ExperimentCreated):
            return self._created(event)
        its = event.experiment_id
        row = self.experiments.get(its)
        if row is None:
            return "missing", {}
        deleted = row["lifecycle_stage"] == "deleted"
        match event:
            case types.ExperimentDeleted() if event.request and deleted:
                return "deleted", self._facts(its)
            case types.ExperimentRestored() if event.request and not deleted:
                return "active", self._facts(its)
            case types.ExperimentDeleted():
                row |= {"lifecycle_stage": "deleted", "last_update_time": event.time}
            case types.ExperimentRestored():
                row |= {"lifecycle_stage": "active", "last_update_time": event.time}
            case _ if event.request and deleted:
                return "deleted", self._facts(its)
            case types.ExperimentRenamed():
                holder = self._holder(event.name)
                if holder not in {None, its}:
                    return "exists", self._facts(holder)
                row |= {"name": event.name, "last_update_time": event.time}
            case types.ExperimentTag():
                self.experiment_tags[its, event.key] = event.value
            case types.ExperimentTagDeleted():
                if (its, event.key) not in self.experiment_tags:
                    return "missing_tag", self._facts(its)
                del self.experiment_tags[its, event.key]
            case _:
                raise AssertionError(f"the plain model has no rule for {event.TYPE}")
        return "", self._facts(its)

    def _created(self, event: types.ExperimentCreated) -> Verdict:
        holder = self._holder(event.name)
        if holder is not None:
            return "exists", self._facts(holder)
        nth = 1 + sum(row["created_as"] == event.name for row in self.experiments.values())
        made = identity.experiment_id(event.name, nth)
        self.experiments[made] = _experiment(event.name, event.time, event.artifact_location)
        self.experiment_tags |= {(made, key): value for key, value in event.tags.items()}
        return "", self._facts(made)

    def _holder(self, name: str) -> int | None:
        return next((its for its, row in self.experiments.items() if row["name"] == name), None)

    def _facts(self, its: int | None) -> Row:
        assert its is not None
        row = self.experiments[its]
        return {"experiment_id": its, "name": row["name"], "lifecycle_stage": row["lifecycle_stage"]}

    def _in_the_registry(self, event: Any) -> Verdict:
        model = self.registered.get(event.name)
        if isinstance(event, types.RegisteredModelCreated):
            if model is not None:
                return "exists", {}
            row = {
                "description": event.description, "creation_time": event.time,
                "last_update_time": event.time, "last_version": 0,
            }  # fmt: skip
            self.registered[event.name] = _Registered(row, dict(event.tags))
            return _ACCEPTED
        if model is None:
            return "missing", {}
        if isinstance(event, types.RegisteredModelRenamed):
            return self._renamed(model, event)
        if isinstance(event, types.ModelVersionCreated):
            return _version_created(model, event)
        if hasattr(event, "version"):
            return _on_a_version(model, event)
        match event:
            case types.RegisteredModelUpdated():
                model.row |= {"description": event.description, "last_update_time": event.time}
            case types.RegisteredModelDeleted():
                del self.registered[event.name]
            case types.RegisteredModelTag():
                model.tags[event.key] = event.value
            case types.RegisteredModelTagDeleted():
                model.tags.pop(event.key, None)
            case types.RegisteredModelAliasDeleted():
                model.aliases.pop(event.alias, None)
            case _:
                raise AssertionError(f"the plain model has no rule for {event.TYPE}")
        return _ACCEPTED

    def _renamed(self, model: _Registered, event: types.RegisteredModelRenamed) -> Verdict:
        if event.new_name != event.name and event.new_name in self.registered:
            return "exists", {}
        del self.registered[event.name]
        self.registered[event.new_name] = model
        for row in (model.row, *model.versions.values()):
            row["last_update_time"] = event.time
        return _ACCEPTED

    def content(self) -> dict[str, dict[tuple[Any, ...], Any]]:
        """Every table."""
        registered = self.registered
        return {
            "installation": {(): self.installation} if self.installation else {},
            "experiments": {(its,): row for its, row in self.experiments.items()},
            "experiment_tags": dict(self.experiment_tags),
            "registered_models": {(name,): model.row for name, model in registered.items()},
            "registered_model_tags": {(n, k): v for n, m in registered.items() for k, v in m.tags.items()},
            "registered_model_aliases": {
                (n, k): v for n, m in registered.items() for k, v in m.aliases.items()
            },
            "model_versions": {(n, k): row for n, m in registered.items() for k, row in m.versions.items()},
            "model_version_tags": {
                (n, *k): v for n, m in registered.items() for k, v in m.version_tags.items()
            },
            "verdicts": {(request,): verdict for request, verdict in self.verdicts.items()},
        }


def _experiment(name: str, time: int, location: str) -> Row:
    return {
        "name": name, "created_as": name, "lifecycle_stage": "active", "creation_time": time,
        "last_update_time": time, "artifact_location": location,
    }  # fmt: skip


def _version_created(model: _Registered, event: types.ModelVersionCreated) -> Verdict:
    number = model.row["last_version"] + 1
    model.row |= {"last_version": number, "last_update_time": event.time}
    model.versions[number] = {
        "source": event.source, "run_id": event.run_id, "run_link": event.run_link,
        "description": event.description, "model_id": event.model_id, "user_name": event.user,
        "current_stage": "None", "creation_time": event.time, "last_update_time": event.time,
        "lifecycle_stage": "active", "storage_location": event.storage_location,
    }  # fmt: skip
    model.version_tags |= {(number, key): value for key, value in event.tags.items()}
    return "", {"version": number}


def _on_a_version(model: _Registered, event: Any) -> Verdict:
    number = event.version
    row = model.versions.get(number)
    if row is None or row["lifecycle_stage"] == "deleted":
        return "missing_version", {}
    match event:
        case types.RegisteredModelAlias():
            model.aliases[event.alias] = number
        case types.ModelVersionUpdated():
            row |= {"description": event.description, "last_update_time": event.time}
        case types.ModelVersionStaged():
            for other in model.versions.values():
                alive = other["lifecycle_stage"] == "active"
                if event.archive_existing and alive and other["current_stage"] == event.stage:
                    other |= {"current_stage": "Archived", "last_update_time": event.time}
            row |= {"current_stage": event.stage, "last_update_time": event.time}
            model.row["last_update_time"] = event.time
        case types.ModelVersionDeleted():
            row |= dict.fromkeys(
                ("source", "run_id", "run_link", "description", "model_id", "user_name", "storage_location"),
                "",
            )
            row |= {"lifecycle_stage": "deleted", "last_update_time": event.time}
            model.row["last_update_time"] = event.time
            model.aliases = {alias: at for alias, at in model.aliases.items() if at != number}
        case types.ModelVersionTag():
            model.version_tags[number, event.key] = event.value
        case types.ModelVersionTagDeleted():
            model.version_tags.pop((number, event.key), None)
        case _:
            raise AssertionError(f"the plain model has no rule for {event.TYPE}")
    return "", {"version": number}
