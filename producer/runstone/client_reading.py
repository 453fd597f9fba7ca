"""The calls that read any run of the server, also what this process has only just logged to one."""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runstone.inputs import checked_run_id
from runstone.open_runs import OpenRuns
from runstone.run_reading import READ_S

if TYPE_CHECKING:
    from runstone.run_info import RunInfo


class ClientReading(OpenRuns):
    """Runs as the server has them."""

    def get_run(self, run_id: str, timeout: float = READ_S) -> "RunInfo":
        """A run as the server has it; one that this process logs to, with all that was logged so far.

        Args:
            run_id: of any run of the server.
            timeout: seconds to wait for what this process logged to it at most; afterwards the answer is
                what there is.

        Raises:
            NoSuchRunError: the server does not know the run (yet).
            ServerError: no server answers.
            InvalidInputError: *run_id* is no run's id.
        """
        from runstone.run_info import read_run  # noqa: PLC0415  # importing runstone must stay cheap

        wanted = checked_run_id(run_id, "run_id")
        own = self._own(wanted)
        if own is not None:
            return own.info(timeout)
        return read_run(self._configuration().tracking_uri, wanted)

    def download_artifacts(
        self,
        run_id: str,
        path: str | None = None,
        dst: str | PathLike[str] | None = None,
        timeout: float = READ_S,
    ) -> Path:
        """Fetch files of a run from the server, each checked by its SHA-256, and say where they lie.

        What is in *dst* already with the right content is not fetched again, and what was cut off goes on
        where it ended.

        Args:
            run_id: of any run of the server.
            path: of a file or folder within the run's artifacts; without it all of them.
            dst: a folder, made where it is missing; files get their whole paths below it, and replace others
                of these names. Without it a new temporary one, which is the caller's to remove.
            timeout: seconds to wait at most for what this process logged to the run.

        Returns:
            The path of the file or folder; *dst* where no *path* was named.

        Raises:
            NoSuchRunError, NoSuchArtifactError: the server does not know the run, or the path (yet).
            ServerError: no server answers, or the store does not give the file.
            InvalidInputError: an argument is not what it must be.
            OSError: the disk refuses.
        """
        from runstone import loading  # noqa: PLC0415  # importing runstone must stay cheap

        wanted = checked_run_id(run_id, "run_id")
        own = self._own(wanted)
        if own is not None:
            return own.download_artifacts(path, dst, timeout)
        return loading.download_artifacts(self._configuration().tracking_uri, wanted, path, dst)

    def load_model(self, model: str, name: str | None = None, timeout: float = READ_S) -> Any:
        """Unpickle a model that ``log_model`` wrote, checked by its SHA-256.

        Unpickling runs whatever code the file names: load models of people you trust only. A warning says so.

        Args:
            model: the run's id, or ``runs:/<run id>/<name>``.
            name: of the model within the run, where *model* is an id; "model" unless told otherwise.
            timeout: seconds to wait at most for what this process logged to the run.

        Raises:
            NoSuchRunError, NoSuchArtifactError: the server does not know the run, or the model (yet).
            ServerError: no server answers, or the store does not give the file.
            InvalidInputError: an argument is not what it must be.
            RunstoneError: it cannot be unpickled here; the message says which versions it was written with.
        """
        from runstone import loading  # noqa: PLC0415  # importing runstone must stay cheap

        run_id, folder = loading.model_address(model, name)
        own = self._own(run_id)
        if own is not None:
            return own.load_model(folder, timeout)
        return loading.load_model(self._configuration().tracking_uri, run_id, folder)
