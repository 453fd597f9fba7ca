"""Asks a Runstone to change what is there: deletes, restores, tags and renames.

For commands: an answer comes when the change can be read, or says that it is made and cannot be read yet.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from runstone.api_client import ReadApi


class WriteApi(ReadApi):
    """The native writes of the gateway behind a tracking URI, and the reads.

    Each write answers ``{"changed", "applied", "run"}`` (or ``"experiment"``): whether there was anything to
    change, whether it can be read already, and what it is now (null where it cannot be read yet).
    """

    def delete_run(self, run_id: str) -> dict[str, Any]:
        """Set the flag that hides a run. Raises `NoSuchRunError`."""
        return self._ask("DELETE", _run(run_id))

    def restore_run(self, run_id: str) -> dict[str, Any]:
        """Lift it. Raises `NoSuchRunError`."""
        return self._ask("POST", f"{_run(run_id)}/restore", {})

    def tag_run(self, run_id: str, to_set: Mapping[str, str], to_delete: Sequence[str]) -> dict[str, Any]:
        """Set and delete tags of a run, all at once. Raises `NoSuchRunError`."""
        return self._ask("POST", f"{_run(run_id)}/tags", {"set": to_set, "delete": to_delete})

    def rename_experiment(self, experiment_id: int, name: str) -> dict[str, Any]:
        """Give an experiment another name.

        Raises:
            NoSuchExperimentError: there is none of this id.
            ConflictError: another one has the name, or this one is deleted.
        """
        return self._ask("PATCH", f"/api/v1/experiments/{experiment_id}", {"name": name})

    def delete_experiment(self, experiment_id: int) -> dict[str, Any]:
        """Hide an experiment and its runs. Raises `NoSuchExperimentError`."""
        return self._ask("DELETE", f"/api/v1/experiments/{experiment_id}")

    def restore_experiment(self, experiment_id: int) -> dict[str, Any]:
        """Show it again, with the runs that are not deleted. Raises `NoSuchExperimentError`."""
        return self._ask("POST", f"/api/v1/experiments/{experiment_id}/restore", {})


def _run(run_id: str) -> str:
    return f"/api/v1/runs/{quote(run_id, safe='')}"
