"""The rules of the catalog: what has a unique name is decided here, by the order of its one partition.

A second creation of a name that exists changes nothing, so clients announce theirs without asking. A rename
frees the old name; whoever creates it again gets the id of its nth creation. A rename onto a name that
exists is ignored, as is whatever concerns an experiment that is not there.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from runstone.events import identity, types
from runstone_ingest.projector.rows import Changes, Experiment


class Names:
    """Which experiment has which name at this point of the catalog, and how often each name was created."""

    def __init__(self, experiments: Mapping[int, Experiment]) -> None:
        self.holder = {e.name: e.experiment_id for e in experiments.values()}
        self.creations = Counter(e.created_as for e in experiments.values())


def _installed(changes: Changes, _names: Names, event: types.InstallationCreated) -> None:
    if changes.loaded.installed or changes.installation is not None:
        return
    changes.installation = event
    default = changes.experiment(identity.DEFAULT_EXPERIMENT_ID)
    if default is not None and default.creation_time == 0:
        default.creation_time = event.time
        default.last_update_time = max(default.last_update_time, event.time)


def _created(changes: Changes, names: Names, event: types.ExperimentCreated) -> None:
    if event.name in names.holder:
        return
    names.creations[event.name] += 1
    nth = names.creations[event.name]
    made = Experiment(identity.experiment_id(event.name, nth), event.name, event.name, event.time, event.time)
    changes.experiments[made.experiment_id] = made
    names.holder[made.name] = made.experiment_id
    for key, value in event.tags.items():
        changes.experiment_tags[made.experiment_id, key] = value


def _renamed(changes: Changes, names: Names, event: types.ExperimentRenamed) -> None:
    found = changes.experiment(event.experiment_id) if event.name not in names.holder else None
    if found is not None:
        del names.holder[found.name]
        names.holder[event.name] = found.experiment_id
        found.name, found.last_update_time = event.name, event.time


def _staged(stage: str) -> Callable[[Changes, Names, Any], None]:
    def rule(
        changes: Changes, _names: Names, event: types.ExperimentDeleted | types.ExperimentRestored
    ) -> None:
        found = changes.experiment(event.experiment_id)
        if found is not None:
            found.lifecycle_stage, found.last_update_time = stage, event.time

    return rule


def _tag(changes: Changes, _names: Names, event: types.ExperimentTag) -> None:
    if changes.experiment(event.experiment_id) is not None:
        changes.experiment_tags[event.experiment_id, event.key] = event.value


def _tag_deleted(changes: Changes, _names: Names, event: types.ExperimentTagDeleted) -> None:
    if changes.experiment(event.experiment_id) is not None:
        changes.experiment_tags[event.experiment_id, event.key] = None


IN_THE_CATALOG: Final[Mapping[type, Callable[[Changes, Names, Any], None]]] = {
    types.InstallationCreated: _installed,
    types.ExperimentCreated: _created,
    types.ExperimentRenamed: _renamed,
    types.ExperimentDeleted: _staged("deleted"),
    types.ExperimentRestored: _staged("active"),
    types.ExperimentTag: _tag,
    types.ExperimentTagDeleted: _tag_deleted,
}
"""Rules of the catalog: (changes, names so far, event)."""
