"""One sender per spool folder: a lock that dies with its process, and a note on what the holder is doing.

::

    waiting ──lock──► running ──idle──► leaving ──still idle──► gone
       │                  ▲                │
       │                  └─something came─┘
       └── another one is running ──► exit

A sender that leaves first says so, then looks once more, then gives the lock back. So a client that has
written its session either is seen by that look, or sees ``leaving`` (or a free lock) and starts another
sender, which waits here for the leaving one. Clients try the lock themselves for an instant, hence the
patience with a lock that is held while nobody says that he runs.
"""

import logging
import os
import time
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from runstone._version import __version__
from runstone.sender.replacing import read_json, replace_json
from runstone.spool.layout import MachineFolder

log = logging.getLogger(__name__)

PATIENCE: Final = 0.5
"""Seconds that another sender must have been seen running before this one gives up."""

LEAVING_MOST: Final = 10.0
"""Seconds to wait for one that is leaving: it may have a publisher to close."""

_STEP: Final = 0.02


class Lease:
    """The right to be the sender of a folder."""

    def __init__(self, folder: MachineFolder) -> None:
        self.folder = folder
        # Not thread-local: the lock belongs to the process.
        self._lock = FileLock(folder.sender_lock, thread_local=False)
        self._file = (0, 0)

    def acquire(self, patience: float = PATIENCE, state: str = "running") -> bool:
        """Take the lease, waiting a little where it is about to become free; False: another sender runs.

        Args:
            patience: seconds; 0 does not wait for one that is leaving either.
            state: to be written down, see `say`.
        """
        began = time.monotonic()
        while True:
            try:
                self._lock.acquire(blocking=False)
            except Timeout:
                waited = time.monotonic() - began
                leaving = (read_json(self.folder.sender_json) or {}).get("state") == "leaving"
                if waited >= (LEAVING_MOST if leaving and patience else patience):
                    return False
                time.sleep(_STEP)
            else:
                self._file = _identity(self.folder.sender_lock)
                self.say(state)
                return True

    def say(self, state: str) -> None:
        """Write down ``running`` or ``leaving``; where the disk is full, clients see the lock and no more."""
        told = {
            "pid": os.getpid(),
            "version": __version__,
            "state": state,
            "log": str(self.folder.sender_log),
        }
        try:
            replace_json(self.folder.sender_json, told)
        except OSError as wrong:
            log.warning("%s cannot be written: %s", self.folder.sender_json, wrong)

    @property
    def void(self) -> bool:
        """The folder was removed, or made anew for another sender: what this one holds is of no use."""
        told = read_json(self.folder.sender_json) or {}
        return _identity(self.folder.sender_lock) != self._file or told.get("pid", os.getpid()) != os.getpid()

    def release(self) -> None:
        """Give the lease back."""
        self._lock.release()


def _identity(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_dev, found.st_ino
