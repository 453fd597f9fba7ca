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

import os
import time
from typing import Final

from filelock import FileLock, Timeout

from runstone._version import __version__
from runstone.sender.replacing import read_json, replace_json
from runstone.spool.layout import MachineFolder

PATIENCE: Final = 0.5
"""Seconds that another sender must have been seen running before this one gives up."""

LEAVING_MOST: Final = 10.0
"""Seconds to wait for one that is leaving: it may have a publisher to close."""

_STEP: Final = 0.02


class Lease:
    """The right to be the sender of a folder."""

    def __init__(self, folder: MachineFolder) -> None:
        self._folder = folder
        # Not thread-local: the lock belongs to the process.
        self._lock = FileLock(folder.sender_lock, thread_local=False)

    def acquire(self) -> bool:
        """Take the lease, waiting a little where it is about to become free; False: another sender runs."""
        began = time.monotonic()
        while True:
            try:
                self._lock.acquire(blocking=False)
            except Timeout:
                waited = time.monotonic() - began
                leaving = (read_json(self._folder.sender_json) or {}).get("state") == "leaving"
                if waited > (LEAVING_MOST if leaving else PATIENCE):
                    return False
                time.sleep(_STEP)
            else:
                self.say("running")
                return True

    def say(self, state: str) -> None:
        """Write down ``running`` or ``leaving``."""
        replace_json(
            self._folder.sender_json,
            {"pid": os.getpid(), "version": __version__, "state": state, "log": str(self._folder.sender_log)},
        )

    @property
    def void(self) -> bool:
        """The folder was removed, or made anew for another sender: what this one holds is of no use."""
        return (read_json(self._folder.sender_json) or {}).get("pid") != os.getpid()

    def release(self) -> None:
        """Give the lease back."""
        self._lock.release()
