"""The calls that read a run back from the server, with all that this process logged to it."""

import time
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from runstone.exceptions import NoSuchRunError
from runstone.inputs import seconds
from runstone.run_stream import RunStream

if TYPE_CHECKING:
    from runstone.run_info import RunInfo

READ_S: Final = 10.0
"""Seconds that reading a run waits for what this process logged to it, unless told otherwise."""


class RunReading(RunStream):
    """A run as the server has it."""

    def wait_until_queryable(self, timeout: float = 30.0) -> bool:
        """Whether, within *timeout* seconds, all that was logged here so far can be read through the API.

        False means: not yet; or never, once the store has refused an artifact of this run for good, or where
        points were refused because the spool was full. With RUNSTONE_DISABLED=1 nothing was logged, and the
        answer is True.

        Raises:
            InvalidInputError: *timeout* is no number.
        """
        from runstone.queryable import wait_until_queryable  # noqa: PLC0415  # importing runstone must stay cheap

        deadline = time.monotonic() + seconds(timeout)
        if self._session.disabled:
            return True
        uploads = self._session.uploads.of(self.run_id)
        appended = self._stream.next_seq
        if not self._session.wait_acknowledged(deadline, uploads):
            return False
        wanted = {self._session.session: appended - 1} if appended else {}
        wanted |= self._session.uploads.pointers(self.run_id)
        return wait_until_queryable(self._session.uri, self.run_id, wanted, deadline)

    def info(self, timeout: float = READ_S) -> "RunInfo":
        """The run as the server has it, with what was logged here so far.

        Args:
            timeout: seconds to wait for that at most; afterwards the answer is what there is.

        Raises:
            NoSuchRunError: the server does not know the run (yet).
            ServerError: no server answers.
            InvalidInputError: *timeout* is no number.
        """
        from runstone.run_info import read_run  # noqa: PLC0415  # importing runstone must stay cheap

        self._arrived(timeout)
        return read_run(self._session.uri, self.run_id)

    def download_artifacts(
        self, path: str | None = None, dst: str | PathLike[str] | None = None, timeout: float = READ_S
    ) -> Path:
        """Fetch the run's files, what was logged here so far included; see `Client.download_artifacts`.

        *timeout*: seconds to wait at most for what was logged here to arrive.
        """
        from runstone import loading  # noqa: PLC0415  # importing runstone must stay cheap

        self._arrived(timeout)
        return loading.download_artifacts(self._session.uri, self.run_id, path, dst)

    def load_model(self, name: str = "model", timeout: float = READ_S) -> Any:
        """Unpickle a model of the run, of this moment included; see `Client.load_model`.

        *timeout*: seconds to wait at most for what was logged here to arrive.
        """
        from runstone import loading  # noqa: PLC0415  # importing runstone must stay cheap

        run_id, folder = loading.model_address(self.run_id, name)
        self._arrived(timeout)
        return loading.load_model(self._session.uri, run_id, folder)

    def _arrived(self, timeout: float) -> None:
        """Wait for what was logged here; where nobody answers, nothing is waited for."""
        from runstone.run_info import read_run  # noqa: PLC0415  # importing runstone must stay cheap

        try:
            read_run(self._session.uri, self.run_id)
        except NoSuchRunError:
            pass
        self.wait_until_queryable(timeout)
