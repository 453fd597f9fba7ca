"""The rules of the catalog: what has a unique name is decided here, by the order of its one partition.

A second creation of a name that exists changes nothing, so clients announce theirs without asking. A rename
frees the old name; whoever creates it again gets the id of its nth creation. A rename onto a name that
exists is ignored, as is whatever concerns an experiment that is not there.

An event with a ``request`` is somebody's question: it is decided as MLflow would, and the verdict is kept.
One without is a fact that somebody stated while nobody listened: it takes effect wherever it can.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from runstone.events import identity, types
from runstone_ingest.projector import decisions
from runstone_ingest.projector.decisions import ACCEPTED, Decision
from runstone_ingest.projector.registry import IN_THE_REGISTRY, RegistryEvent, needed_of_registry
from runstone_ingest.projector.rows import Changes, Experiment, Needed, Verdict

_NOT_THERE: Final = Decision(decisions.MISSING)


class Names:
    """Which experiment has which name at this point of the catalog, and how often each name was created."""

    def __init__(self, experiments: Mapping[int, Experiment]) -> None:
        self.holder = {e.name: e.experiment_id for e in experiments.values()}
        self.creations = Counter(e.created_as for e in experiments.values())


def needed_of_catalog(found: Needed, event: types.CatalogEvent) -> None:
    """Add to *found* which rows the rule of *event* asks for."""
    if isinstance(event, RegistryEvent):
        needed_of_registry(found, event)
    elif isinstance(event, types.InstallationCreated):
        found.experiment_ids.add(identity.DEFAULT_EXPERIMENT_ID)
    elif isinstance(event, types.ExperimentCreated):
        found.experiment_names.add(event.name)
    else:
        found.experiment_ids.add(event.experiment_id)
        if isinstance(event, types.ExperimentRenamed):
            found.experiment_names.add(event.name)
        elif isinstance(event, types.ExperimentTagDeleted):
            found.experiment_tags.add((event.experiment_id, event.key))


def apply_to_catalog(changes: Changes, names: Names, event: types.CatalogEvent, offset: int) -> None:
    """Decide on *event*, from the record at *offset*, and keep the verdict if somebody waits for it."""
    if isinstance(event, RegistryEvent):
        decision = IN_THE_REGISTRY[type(event)](changes, event)
    else:
        decision = ON_AN_EXPERIMENT[type(event)](changes, names, event)
    if not isinstance(event, types.InstallationCreated) and event.request:
        verdict = Verdict(event.request, offset, decision.code, decision.answer)
        changes.verdicts.setdefault(event.request, verdict)


def _on(found: Experiment, code: str = "") -> Decision:
    answer = {
        "experiment_id": found.experiment_id,
        "name": found.name,
        "lifecycle_stage": found.lifecycle_stage,
    }
    return Decision(code, answer)


def _installed(changes: Changes, _names: Names, event: types.InstallationCreated) -> Decision:
    if changes.loaded.installed or changes.installation is not None:
        return ACCEPTED
    changes.installation = event
    default = changes.experiment(identity.DEFAULT_EXPERIMENT_ID)
    if default is not None and default.creation_time == 0:
        default.creation_time = event.time
        default.last_update_time = max(default.last_update_time, event.time)
    return ACCEPTED


def _held(changes: Changes, names: Names, name: str) -> Experiment | None:
    return changes.experiment(names.holder[name]) if name in names.holder else None


def _created(changes: Changes, names: Names, event: types.ExperimentCreated) -> Decision:
    holder = _held(changes, names, event.name)
    if holder is not None:
        return _on(holder, decisions.EXISTS)
    names.creations[event.name] += 1
    made = Experiment(
        identity.experiment_id(event.name, names.creations[event.name]),
        event.name,
        event.name,
        event.time,
        event.time,
        artifact_location=event.artifact_location,
    )
    changes.experiments[made.experiment_id] = made
    names.holder[made.name] = made.experiment_id
    for key, value in event.tags.items():
        changes.experiment_tags[made.experiment_id, key] = value
    return _on(made)


def _unless_deleted(
    rule: Callable[[Changes, Names, Experiment, Any], Decision],
) -> Callable[[Changes, Names, Any], Decision]:
    """The rule for an experiment that exists; whoever waits for a verdict may not change a deleted one."""

    def decide(
        changes: Changes,
        names: Names,
        event: types.ExperimentRenamed | types.ExperimentTag | types.ExperimentTagDeleted,
    ) -> Decision:
        found = changes.experiment(event.experiment_id)
        if found is None:
            return _NOT_THERE
        if event.request and found.lifecycle_stage == "deleted":
            return _on(found, decisions.DELETED)
        return rule(changes, names, found, event)

    return decide


def _renamed(changes: Changes, names: Names, found: Experiment, event: types.ExperimentRenamed) -> Decision:
    holder = _held(changes, names, event.name)
    if holder is not None and holder is not found:
        return _on(holder, decisions.EXISTS)
    del names.holder[found.name]
    names.holder[event.name] = found.experiment_id
    found.name, found.last_update_time = event.name, event.time
    return _on(found)


def _staged(stage: str, already: str) -> Callable[[Changes, Names, Any], Decision]:
    def rule(
        changes: Changes, _names: Names, event: types.ExperimentDeleted | types.ExperimentRestored
    ) -> Decision:
        found = changes.experiment(event.experiment_id)
        if found is None:
            return _NOT_THERE
        if event.request and found.lifecycle_stage == stage:
            return _on(found, already)
        found.lifecycle_stage, found.last_update_time = stage, event.time
        return _on(found)

    return rule


def _tag(changes: Changes, _names: Names, found: Experiment, event: types.ExperimentTag) -> Decision:
    changes.experiment_tags[event.experiment_id, event.key] = event.value
    return _on(found)


def _tag_deleted(
    changes: Changes, _names: Names, found: Experiment, event: types.ExperimentTagDeleted
) -> Decision:
    if not changes.has_experiment_tag(event.experiment_id, event.key):
        return _on(found, decisions.MISSING_TAG)
    changes.experiment_tags[event.experiment_id, event.key] = None
    return _on(found)


ON_AN_EXPERIMENT: Final[Mapping[type, Callable[[Changes, Names, Any], Decision]]] = {
    types.InstallationCreated: _installed,
    types.ExperimentCreated: _created,
    types.ExperimentRenamed: _unless_deleted(_renamed),
    types.ExperimentDeleted: _staged("deleted", decisions.DELETED),
    types.ExperimentRestored: _staged("active", decisions.ACTIVE),
    types.ExperimentTag: _unless_deleted(_tag),
    types.ExperimentTagDeleted: _unless_deleted(_tag_deleted),
}
"""Rules of experiments: (changes, names so far, event) -> what is said to it."""
