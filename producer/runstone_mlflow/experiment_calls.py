"""Experiments: where the server answers it decides; else their ids are what their names say.

So a training finds its experiment with everything down. What the server has not confirmed is announced in the
spool with the first run in it; where it has the name already, that is the experiment.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from mlflow.entities import Experiment, ExperimentTag
from mlflow.store.entities.paged_list import PagedList
from mlflow.utils.validation import _parse_experiment_id, _validate_experiment_name

from runstone.events.identity import experiment_id as id_of_experiment
from runstone.run_stream import now_ms
from runstone_mlflow import addresses, failures
from runstone_mlflow.connected_store import ConnectedStore
from runstone_mlflow.failures import Unanswered, in_mlflows_words


class ExperimentCalls(ConnectedStore):
    """The calls about experiments.

    What this process knows of them is kept by id; ``_seen`` are those that the server was seen to have.
    """

    def __init__(self, store_uri: str) -> None:
        super().__init__(store_uri)
        self._experiments: dict[str, Experiment] = {}
        self._seen: set[str] = {"0"}

    def get_experiment(self, experiment_id: str) -> Experiment:
        """By id; where no server answers, what this process knows of it."""
        with suppress(Unanswered), self._asking_once():
            return self._remembered(super().get_experiment(experiment_id))
        number = str(_parse_experiment_id(experiment_id))
        # one that another process named is known by its number alone
        return self._experiments.get(number) or self._supposed("", number)

    def get_experiment_by_name(self, experiment_name: str) -> Experiment | None:
        """By name, None where there is none. Where no server answers it is taken to exist."""
        with suppress(Unanswered), self._asking_once():
            found = super().get_experiment_by_name(experiment_name)
            return self._announced(experiment_name) if found is None else self._remembered(found)
        _validate_experiment_name(experiment_name)
        return self._supposed(experiment_name)

    def create_experiment(
        self, name: str, artifact_location: str | None = None, tags: Sequence[ExperimentTag] | None = None
    ) -> str:
        """Create one, and return its id. Where no server answers this is said in the spool.

        Raises:
            MlflowException: RESOURCE_ALREADY_EXISTS, as far as can be known.
        """
        _validate_experiment_name(name)
        with suppress(Unanswered), self._asking_once():
            return str(super().create_experiment(name, artifact_location, tags))
        if self._announced(name):
            raise failures.existing_experiment(name)
        said = {tag.key: tag.value for tag in tags or ()}
        found = self._supposed(name, location=artifact_location, tags=tags)
        with in_mlflows_words():
            self._announce(found, said, artifact_location or "")
        return str(found.experiment_id)

    def search_experiments(self, *args: Any, **named: Any) -> Any:
        """As MLflow's."""
        found = super().search_experiments(*args, **named)
        return PagedList([self._remembered(each) for each in found], found.token)

    def delete_experiment(self, experiment_id: str) -> None:
        """By REST."""
        super().delete_experiment(experiment_id)
        self._journal.mark_deleted(experiment_id, deleted=True)
        self._experiments.pop(str(experiment_id), None)

    def restore_experiment(self, experiment_id: str) -> None:
        """By REST."""
        super().restore_experiment(experiment_id)
        self._journal.mark_deleted(experiment_id, deleted=False)
        self._experiments.pop(str(experiment_id), None)

    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        """By REST."""
        super().rename_experiment(experiment_id, new_name)
        self._experiments.pop(str(experiment_id), None)

    def _announce(
        self, experiment: Experiment, tags: Mapping[str, str] | None = None, location: str = ""
    ) -> None:
        """Say once in this process that an experiment exists which no server was seen to have."""
        if experiment.name and experiment.name not in self._journal.announced:
            self._journal.announced.add(experiment.name)
            self._journal.client.create_experiment(experiment.name, tags, location)

    def _announced(self, name: str) -> Experiment | None:
        """An experiment that this process has created while no server answered."""
        return self._supposed(name) if name in self._journal.announced else None

    def _supposed(
        self,
        name: str,
        number: str = "",
        *,
        location: str | None = None,
        tags: Sequence[ExperimentTag] | None = None,
    ) -> Experiment:
        """An experiment as its name alone tells it, or its number alone."""
        number = number or str(id_of_experiment(name))
        if number not in self._experiments:
            now = now_ms()
            self._experiments[number] = Experiment(
                experiment_id=number,
                name=name,
                artifact_location=location or addresses.local_uri(self._uri, f"mlflow-artifacts:/{number}"),
                lifecycle_stage="active",
                tags=list(tags or ()),
                creation_time=now,
                last_update_time=now,
            )
        return self._experiments[number]

    def _remembered(self, found: Experiment) -> Experiment:
        found._artifact_location = addresses.local_uri(self._uri, found.artifact_location or "")  # noqa: SLF001  # the only way
        self._experiments[str(found.experiment_id)] = found
        self._seen.add(str(found.experiment_id))
        return found

    def _experiment_of_run(self, experiment_id: str) -> Experiment:
        """The experiment that a run is to begin in."""
        known = self._experiments.get(experiment_id)
        if known is None:
            known = self._supposed("Default") if experiment_id == "0" else self.get_experiment(experiment_id)
        if known.lifecycle_stage != "active":
            raise failures.deleted_experiment(experiment_id)
        return known
