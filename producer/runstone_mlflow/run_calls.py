"""Runs: begun, ended and renamed in the spool, by ids made here; read, deleted and restored by REST."""

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from mlflow.entities import Run as MlflowRun
from mlflow.entities import RunData, RunInfo, RunInputs, RunOutputs, RunStatus, RunTag
from mlflow.tracking._tracking_service import utils as tracking_utils
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME
from mlflow.utils.name_utils import _generate_random_name
from mlflow.utils.validation import _parse_experiment_id, _validate_run_id, _validate_tag

from runstone.events import types
from runstone.events.identity import new_run_id
from runstone.run_stream import Identity, now_ms
from runstone_mlflow import addresses, as_events, failures
from runstone_mlflow.artifact_repository import RunstoneArtifactRepository
from runstone_mlflow.experiment_calls import ExperimentCalls
from runstone_mlflow.failures import Unanswered, in_mlflows_words
from runstone_mlflow.journal import KnownRun

_ENDS: Final = {"FINISHED", "FAILED", "KILLED"}


class RunCalls(ExperimentCalls):
    """The calls about runs, but for what is logged to them."""

    def __init__(self, store_uri: str) -> None:
        super().__init__(store_uri)
        # set_terminated would print a link, and read the run for it, before it ends the run: a wait for the
        # server in every training. Runstone prints its own when the run starts.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

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
            found = None
            with suppress(Unanswered), self._asking_once():
                found = super().get_run(run_id)
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
            known.run.record([as_events.run_started(identity, "", now_ms(), known.user, None)])
        else:
            known.run.record([types.RunEnded(status, now_ms())])
        known.status = status

    def _rename(self, known: KnownRun, name: str) -> None:
        tag = _validate_tag(MLFLOW_RUN_NAME, name)
        known.run.record([types.RunRenamed(tag.value, now_ms()), *as_events.tags({tag.key: tag.value})])
        known.name = name
