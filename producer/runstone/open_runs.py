"""What a client is for, a server and a spool: its session with them, and the runs it has open there."""

import threading
from collections import deque
from os import PathLike
from typing import Final

from runstone import lifetime
from runstone.configuration import Configuration, check_tracking_uri, read_configuration
from runstone.run import Run
from runstone.spool.session import Session

RECENT_MOST: Final = 100
"""Runs whose own writes ``get_run`` waits for; what was logged to earlier ones has long arrived."""


class OpenRuns:
    """Configuration and session, each made at its first use, and the runs of all threads."""

    def __init__(self, tracking_uri: str | None, spool: str | PathLike[str] | None) -> None:
        self._tracking_uri = None if tracking_uri is None else check_tracking_uri(tracking_uri)
        self._spool = spool
        self._lock = threading.RLock()
        self._configured: Configuration | None = None
        self._session: Session | None = None
        self._open: list[Run] = []
        self._recent: deque[Run] = deque(maxlen=RECENT_MOST)

    def _configuration(self) -> Configuration:
        if self._configured is None:
            self._configured = read_configuration(self._tracking_uri, self._spool)
        return self._configured

    def _opened(self) -> Session:
        if self._session is None:
            self._session = lifetime.session_of(self._configuration())
        return self._session

    def _own(self, run_id: str) -> Run | None:
        """The run of that id which this process logs to, or logged to lately."""
        return next((run for run in reversed(self._recent) if run.run_id == run_id), None)

    def _unended(self, run_id: str) -> Run | None:
        """The run of that id which this process has open."""
        return next((run for run in self._open if run.run_id == run_id and not run.ended), None)

    def _keep(self, run: Run) -> None:
        """It is open from now on."""
        self._open = [*(other for other in self._open if not other.ended), run]
        self._recent.append(run)
