"""The files of runs and logged models: a run's go up by the spool, all else by the server's proxy."""

import re
from pathlib import Path
from typing import Any, Final

from mlflow.store.artifact.artifact_repo import verify_artifact_path
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository
from mlflow.utils.uri import validate_path_is_safe

from runstone.artifact_sources import files_below
from runstone_mlflow import addresses, failures
from runstone_mlflow.failures import in_mlflows_words
from runstone_mlflow.journal import KnownRun, journal_of

_OF_RUN: Final = re.compile("([0-9]+)/([0-9a-f]{32})/artifacts(?:/(.*))?")
"""Where a run's files lie in the store: experiment, run, path within the run."""


class RunstoneArtifactRepository(MlflowArtifactsRepository):  # type: ignore[misc]  # mlflow's classes are untyped
    """The files below a URI that `addresses.local_uri` made.

    A file of a run is copied aside and uploaded by this machine's sender, so logging it returns at once and
    needs no server. Files of logged models go to the server directly. Reading waits for what this process
    wrote to the run before.
    """

    def __init__(
        self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
    ) -> None:
        store_uri, path = addresses.split(artifact_uri)
        address = addresses.server(store_uri)
        super().__init__(f"mlflow-artifacts:/{path}", address, registry_uri)
        self._asked_by = tracking_uri
        self._journal = journal_of(address)
        found = _OF_RUN.fullmatch(path.rstrip("/"))
        self._experiment_id, self._run_id, self._folder = found.groups("") if found else ("", "", "")

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Log one file."""
        verify_artifact_path(artifact_path)
        known = self._run()
        if known is None:
            super().log_artifact(local_file, artifact_path)
            return
        _check_listable(artifact_path, Path(local_file).name)
        with in_mlflows_words():
            known.run.log_artifact(local_file, self._within(artifact_path))

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Log all files below a folder."""
        verify_artifact_path(artifact_path)
        known = self._run()
        if known is None:
            super().log_artifacts(local_dir, artifact_path)
            return
        with in_mlflows_words():
            for _file, name in files_below(Path(local_dir).absolute(), lambda _path, _reason: None):
                _check_listable(artifact_path, name)
            known.run.log_artifacts(local_dir, self._within(artifact_path))

    def list_artifacts(self, path: str | None = None) -> Any:
        """What lies in a folder."""
        self._settle()
        return super().list_artifacts(path)

    def download_artifacts(self, artifact_path: str, dst_path: str | None = None) -> str:
        """Fetch a file or a folder; the path where it lies now."""
        self._settle()
        return str(super().download_artifacts(artifact_path, dst_path))

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Delete a file or a folder, at the server."""
        self._settle()
        super().delete_artifacts(artifact_path)

    def _settle(self) -> None:
        if self._run_id:
            self._journal.settle(self._run_id)

    def _run(self) -> KnownRun | None:
        """The run whose files these are; None where they are another thing's."""
        if not self._run_id:
            return None
        known = self._journal.get(self._run_id) or self._journal.join(self._run_id, self._experiment_id)
        if known.deleted:
            raise failures.deleted_run(self._run_id)
        return known

    def _within(self, artifact_path: str | None) -> str | None:
        parts = [part for part in (self._folder, (artifact_path or "").rstrip("/")) if part]
        return "/".join(parts) or None


def _check_listable(folder: str | None, name: str) -> None:
    """Refuse a path that MLflow's client refuses to list: with it, nothing in its folder could be listed."""
    validate_path_is_safe(f"{folder}/{name}" if folder else name)
