"""MLflow's tracking store over Runstone: writes go into the spool, reads come from the server by REST.

What code does while it trains (runs, params, metrics, tags, inputs, outputs) is appended to this machine's
spool and returns at once, whether a server answers or not; `runstone_mlflow.journal` knows what this process
wrote. Everything else is `RestStore`'s: a read first waits until this process's own writes can be seen.
What MLflow refuses is refused here as far as this process can know it.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Final

from mlflow.entities import (
    Experiment,
    ExperimentTag,
    LoggedModel,
    Metric,
    Param,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
    RunStatus,
    RunTag,
)
from mlflow.entities import Run as MlflowRun
from mlflow.protos.service_pb2 import (
    CreateExperiment,
    GetExperiment,
    GetExperimentByName,
    GetMetricHistory,
    GetRun,
)
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking.rest_store import RestStore
from mlflow.tracking._tracking_service import utils as tracking_utils
from mlflow.utils.async_logging.run_operations import RunOperations
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME
from mlflow.utils.name_utils import _generate_random_name
from mlflow.utils.validation import (
    _parse_experiment_id,
    _validate_batch_log_data,
    _validate_batch_log_limits,
    _validate_dataset_inputs,
    _validate_experiment_name,
    _validate_metric,
    _validate_param,
    _validate_param_keys_unique,
    _validate_run_id,
    _validate_tag,
)

from runstone.events import types
from runstone.events.identity import experiment_id as id_of_experiment
from runstone.events.identity import new_run_id
from runstone.exceptions import InvalidInputError
from runstone.run import Identity, now_ms
from runstone_mlflow import addresses, as_events, failures
from runstone_mlflow.artifact_repository import RunstoneArtifactRepository
from runstone_mlflow.failures import in_mlflows_words
from runstone_mlflow.journal import KnownRun, journal_of

_LARGE: Final = 150_000
"""Characters of a dataset's schema, source and profile together that an event takes; more goes by REST."""

_UNWAITED: Final = {CreateExperiment, GetExperiment, GetExperimentByName, GetRun, GetMetricHistory}
"""What does not depend on this process's runs, or has waited for the one it is about."""

_ENDS: Final = {"FINISHED", "FAILED", "KILLED"}


class RunstoneStore(RestStore):  # type: ignore[misc]  # mlflow's classes are untyped
    """The store behind ``runstone://host:5000``."""

    def __init__(self, store_uri: str) -> None:
        address = addresses.server(store_uri)
        super().__init__(partial(get_default_host_creds, address))
        self._uri = store_uri
        self._journal = journal_of(address)
        self._keys: set[str] = set()
        self._experiments: dict[str, Experiment] = {}
        self._seen: set[str] = {"0"}
        # set_terminated would print a link, and read the run for it, before it ends the run: a wait for the
        # server in every training. Runstone prints its own when the run starts.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

    def _call_endpoint(self, api: Any, *args: Any, **named: Any) -> Any:
        if api not in _UNWAITED:
            self._journal.settle()
        return super()._call_endpoint(api, *args, **named)

    # Experiments. Where the server answers it decides; else their ids are what the names say.

    def get_experiment(self, experiment_id: str) -> Experiment:
        """By id; where no server answers, what this process knows of it."""
        if self._journal.reachable():
            return self._remembered(super().get_experiment(experiment_id))
        number = str(_parse_experiment_id(experiment_id))
        # one that another process named is known by its number alone
        return self._experiments.get(number) or self._supposed("", number)

    def get_experiment_by_name(self, experiment_name: str) -> Experiment | None:
        """By name, None where there is none. Where no server answers it is taken to exist."""
        if not self._journal.reachable():
            _validate_experiment_name(experiment_name)
            return self._supposed(experiment_name)
        found = super().get_experiment_by_name(experiment_name)
        if found is None:
            return self._announced(experiment_name)
        return self._remembered(found)

    def create_experiment(
        self, name: str, artifact_location: str | None = None, tags: Sequence[ExperimentTag] | None = None
    ) -> str:
        """Create one, and return its id. Where no server answers this is said in the spool.

        Raises:
            MlflowException: RESOURCE_ALREADY_EXISTS, as far as can be known.
        """
        _validate_experiment_name(name)
        if self._journal.reachable():
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
        self._experiments.pop(str(experiment_id), None)

    def restore_experiment(self, experiment_id: str) -> None:
        """By REST."""
        super().restore_experiment(experiment_id)
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

    # Runs

    def create_run(
        self,
        experiment_id: str,
        user_id: str,
        start_time: int,
        tags: Sequence[RunTag] | None,
        run_name: str | None,
    ) -> MlflowRun:
        """Begin a run with an id of this process's making."""
        number = _parse_experiment_id(experiment_id)
        experiment = self._experiment_of_run(str(number))
        checked = [_validate_tag(tag.key, tag.value) for tag in tags or ()]
        said = {tag.key: tag.value for tag in checked}
        tagged_name = said.get(MLFLOW_RUN_NAME)
        if run_name and tagged_name and run_name != tagged_name:
            raise failures.invalid(
                "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
                f"(run_name='{run_name}', mlflow.runName='{tagged_name}')."
            )
        name = run_name or tagged_name or _generate_random_name()
        said[MLFLOW_RUN_NAME] = name
        identity = Identity(new_run_id(start_time), number, name)
        started = as_events.run_started(identity, experiment.name, start_time, user_id, said)
        location = experiment.artifact_location
        with in_mlflows_words():
            if experiment.experiment_id not in self._seen:
                self._announce(experiment)
            known = self._journal.begin(identity, started, as_events.tags(said))
        known.tags.update(said)
        known.start_time = start_time
        artifact_uri = f"{location}/{identity.run_id}/artifacts"
        if location.startswith(self._uri):
            # log_artifact looks here before it asks the server where a run's files lie
            tracking_utils._artifact_repos_cache[identity.run_id] = RunstoneArtifactRepository(artifact_uri)  # noqa: SLF001  # as its comment says
        info = RunInfo(
            run_id=identity.run_id,
            experiment_id=str(number),
            user_id=user_id,
            status=RunStatus.to_string(RunStatus.RUNNING),
            start_time=start_time,
            end_time=None,
            lifecycle_stage="active",
            artifact_uri=artifact_uri,
            run_name=name,
        )
        data = RunData(tags=[RunTag(key, value) for key, value in said.items()])
        return MlflowRun(info, data, RunInputs([], []), RunOutputs([]))

    def get_run(self, run_id: str) -> MlflowRun:
        """The run, with all that this process wrote to it."""
        self._journal.settle(run_id)
        return self._placed(super().get_run(run_id))

    def update_run_info(
        self, run_id: str, run_status: int | None, end_time: int | None, run_name: str | None
    ) -> RunInfo:
        """End a run, begin a new attempt of it, or rename it."""
        known = self._known(run_id)
        with known.lock, in_mlflows_words():
            if run_status is not None:
                self._change_status(known, RunStatus.to_string(run_status), end_time)
            if run_name:
                self._rename(known, run_name)
            status = known.status
        return RunInfo(
            run_id=run_id,
            experiment_id=known.experiment_id,
            user_id=known.user,
            status=status,
            start_time=known.start_time,
            end_time=end_time,
            lifecycle_stage="active",
            run_name=known.name,
        )

    def delete_run(self, run_id: str) -> None:
        """By REST."""
        super().delete_run(run_id)
        if known := self._journal.get(run_id):
            known.deleted = True

    def restore_run(self, run_id: str) -> None:
        """By REST."""
        super().restore_run(run_id)
        if known := self._journal.get(run_id):
            known.deleted = False

    def _search_runs(self, *args: Any, **named: Any) -> Any:
        runs, token = super()._search_runs(*args, **named)
        return [self._placed(run) for run in runs], token

    def _placed(self, run: MlflowRun) -> MlflowRun:
        run.info._artifact_uri = addresses.local_uri(self._uri, run.info.artifact_uri or "")  # noqa: SLF001  # the only way
        return run

    def _known(self, run_id: str) -> KnownRun:
        """The run to write to.

        Raises:
            MlflowException: it is deleted, or a server answers and knows of none such.
        """
        known = self._journal.get(run_id)
        if known is None:
            _validate_run_id(run_id)
            found = super().get_run(run_id) if self._journal.reachable() else None
            known = self._journal.join(run_id, found.info.experiment_id if found else "0", found)
        if known.deleted:
            raise failures.deleted_run(run_id)
        return known

    def _change_status(self, known: KnownRun, status: str, end_time: int | None) -> None:
        if status in _ENDS:
            known.run.record([types.RunEnded(status, end_time or now_ms())])
        elif status == known.status:
            return
        elif status == "RUNNING":
            identity = Identity(known.run.run_id, int(known.experiment_id), "")
            known.run.record([as_events.run_started(identity, "", now_ms(), known.user, {})])
        else:
            known.run.record([types.RunEnded(status, now_ms())])
        known.status = status

    def _rename(self, known: KnownRun, name: str) -> None:
        tag = _validate_tag(MLFLOW_RUN_NAME, name)
        known.run.record([types.RunRenamed(tag.value, now_ms()), *as_events.tags({tag.key: tag.value})])
        known.name = name

    # What is logged to a run

    def log_metric(self, run_id: str, metric: Metric) -> None:
        """Append a point."""
        known = self._journal.get(run_id)
        if known is None or known.deleted:
            known = self._known(run_id)
        key, value = metric.key, metric.value
        if key not in self._keys or type(value) is not float:
            _validate_metric(key, value, metric.timestamp, metric.step)
            self._keys.add(key)
        try:
            known.point(key, value, metric.step, metric.timestamp, **_measured(metric))
        except InvalidInputError as wrong:
            raise failures.invalid(str(wrong)) from None

    def log_param(self, run_id: str, param: Param) -> None:
        """Append a param; the first value that this process knows of stands."""
        known = self._known(run_id)
        checked = _validate_param(param.key, param.value)
        with known.lock, in_mlflows_words():
            known.run.record(self._new_params(known, [checked]))

    def set_tag(self, run_id: str, tag: RunTag) -> None:
        """Append a tag; ``mlflow.runName`` renames the run."""
        known = self._known(run_id)
        checked = _validate_tag(tag.key, tag.value)
        with known.lock, in_mlflows_words():
            self._set_tags(known, [checked])

    def delete_tag(self, run_id: str, key: str) -> None:
        """Delete a tag: one that this process has set, by the spool, another one by REST."""
        known = self._known(run_id)
        with known.lock:
            if key in known.tags:
                known.run.record([types.TagDeleted(key, now_ms())])
                known.tags.discard(key)
                return
        super().delete_tag(run_id, key)

    def log_batch(
        self, run_id: str, metrics: Sequence[Metric], params: Sequence[Param], tags: Sequence[RunTag]
    ) -> None:
        """Append all of it, or nothing where something is wrong."""
        known = self._known(run_id)
        metrics, params, tags = _validate_batch_log_data(metrics, params, tags)
        _validate_batch_log_limits(metrics, params, tags)
        _validate_param_keys_unique(params)
        with known.lock, in_mlflows_words():
            points = [(as_events.point(metric), metric) for metric in metrics]
            known.run.record(self._new_params(known, params))
            for (key, value, step, time), metric in points:
                known.point(key, value, step, time, **_measured(metric))
            self._set_tags(known, tags)

    def log_batch_async(
        self, run_id: str, metrics: Sequence[Metric], params: Sequence[Param], tags: Sequence[RunTag]
    ) -> RunOperations:
        """`log_batch`, which is no slower than handing it to a thread; the outcome comes with ``wait()``."""
        outcome: Future[None] = Future()
        try:
            self.log_batch(run_id, metrics, params, tags)
            outcome.set_result(None)
        except Exception as wrong:  # whoever waits gets it
            outcome.set_exception(wrong)
        return RunOperations([outcome])

    def log_inputs(
        self, run_id: str, datasets: Sequence[Any] | None = None, models: Sequence[Any] | None = None
    ) -> None:
        """Append datasets and models that the run read; datasets too large for an event go by REST."""
        known = self._known(run_id)
        _validate_dataset_inputs(datasets or [])
        large = [each for each in datasets or () if as_events.dataset_size(each) > _LARGE]
        small = [each for each in datasets or () if as_events.dataset_size(each) <= _LARGE]
        with known.lock, in_mlflows_words():
            known.run.record(map(as_events.dataset_input, small))
            known.run.record(types.ModelInput(each.model_id, now_ms()) for each in models or ())
        if large:
            super().log_inputs(run_id, large)

    def log_outputs(self, run_id: str, models: Sequence[Any]) -> None:
        """Append models that the run made."""
        known = self._known(run_id)
        with known.lock, in_mlflows_words():
            known.run.record(types.ModelOutput(each.model_id, each.step, now_ms()) for each in models)

    def get_metric_history(self, run_id: str, *args: Any, **named: Any) -> Any:
        """As MLflow's, with all that this process wrote to the run."""
        self._journal.settle(run_id)
        return super().get_metric_history(run_id, *args, **named)

    def _new_params(self, known: KnownRun, params: Iterable[Param]) -> list[types.Event]:
        changed = []
        new = []
        for param in params:
            value = known.params.get(param.key)
            if value is None:
                new.append(param)
            elif value != param.value:
                changed.append({"key": param.key, "old_value": value, "new_value": param.value})
        if changed:
            raise failures.changed_params(known.run.run_id, changed)
        known.params.update((param.key, param.value) for param in new)
        return [as_events.param(param.key, param.value) for param in new]

    def _set_tags(self, known: KnownRun, tags: Iterable[RunTag]) -> None:
        for tag in tags:
            if tag.key == MLFLOW_RUN_NAME:
                self._rename(known, tag.value)
            else:
                known.run.record(as_events.tags({tag.key: tag.value}))
            known.tags.add(tag.key)

    # Logged models

    def create_logged_model(self, *args: Any, **named: Any) -> LoggedModel:
        """By REST."""
        return self._placed_model(super().create_logged_model(*args, **named))

    def get_logged_model(self, *args: Any, **named: Any) -> LoggedModel:
        """As MLflow's."""
        return self._placed_model(super().get_logged_model(*args, **named))

    def finalize_logged_model(self, *args: Any, **named: Any) -> LoggedModel:
        """By REST."""
        return self._placed_model(super().finalize_logged_model(*args, **named))

    def search_logged_models(self, *args: Any, **named: Any) -> Any:
        """As MLflow's."""
        found = super().search_logged_models(*args, **named)
        return PagedList([self._placed_model(each) for each in found], found.token)

    def _placed_model(self, model: LoggedModel) -> LoggedModel:
        model.artifact_location = addresses.local_uri(self._uri, model.artifact_location or "")
        return model


def _measured(metric: Metric) -> dict[str, Any]:
    """What a point was measured for, where it was for something."""
    if metric.model_id is None and metric.dataset_name is None:
        return {}
    dataset = (metric.dataset_name or "", metric.dataset_digest or "")
    return {"model_id": metric.model_id or "", "dataset": dataset}
