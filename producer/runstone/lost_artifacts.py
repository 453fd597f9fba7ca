"""Files that a run was given but the spool could not take: told once to people, and kept with the run.

A tag counts them, so that nobody takes the run for complete. It is set again when the count has grown by a
tenth, and at the run's end: many files cost a few tags, and a process that is killed has told nearly all.
"""

import threading
from typing import Final

from runstone import notices

LOST_TAG: Final = "runstone.artifacts.refused"


class LostArtifacts:
    """Those of one run in this process; any thread may add one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._told = 0
        self._last = ""

    def add(self, path: str, reason: str) -> str:
        """Count one, and warn of the first; the tag's text where it is to be set, else empty."""
        notices.warn_once(
            "artifact",
            f"artifact {path!r} was not logged: {reason}. The run's tag {LOST_TAG} counts such files",
        )
        with self._lock:
            self._count += 1
            self._last = f"{path!r}: {reason}"
            return self._text() if self._count >= self._told + max(1, self._told // 10) else ""

    def rest(self) -> str:
        """The tag's text where it has not been set to the last count, else empty."""
        with self._lock:
            return self._text() if self._count > self._told else ""

    def _text(self) -> str:
        self._told = self._count
        files = "file was" if self._count == 1 else "files were"
        return f"{self._count} {files} not logged; the last one is {self._last}"
