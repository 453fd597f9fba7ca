"""How many bytes the segments of a spool occupy, counted seldom enough to cost a training nothing.

Counting is a system call per file. A month without a server leaves folders of sessions by the thousand, and a
process that logs at full speed asks for a segment many times a second, so a count holds for `PAUSE_FACTOR`
times as long as it took. Called with the writer's lock held.
"""

import os
import sys
import time
from pathlib import Path
from typing import Final

from runstone.spool.layout import SEGMENT_SUFFIX, MachineFolder

PAUSE_FACTOR: Final = 50
"""A call in fifty, at most, waits for the count."""


class Usage:
    """Of all boots of one machine: what earlier boots left counts as well."""

    def __init__(self, machine: MachineFolder) -> None:
        self._root = machine.path.parent
        self._prefix = f"{machine.path.name.rpartition('-')[0]}-"
        self._counted = 0
        self._again = 0.0

    def count(self) -> int:
        """The bytes; what others did since the last count may be missing."""
        began = time.monotonic()
        if began >= self._again:
            self._counted = sum(map(_size, self._segments()))
            ended = time.monotonic()
            self._again = ended + PAUSE_FACTOR * (ended - began)
        return self._counted

    def added(self, size: int) -> None:
        """This process has made a segment of that size."""
        self._counted += size

    def free(self) -> int:
        """Bytes that the disk has left for this user; without bounds where it does not say."""
        try:
            disk = os.statvfs(self._root)
        except OSError:
            return sys.maxsize
        return disk.f_bavail * disk.f_frsize

    def _segments(self) -> list[os.DirEntry[str]]:
        return [
            entry
            for boot in _entries(self._root)
            if boot.name.startswith(self._prefix)
            for session in _entries(MachineFolder(Path(boot.path)).sessions)
            for entry in _entries(session)
            if entry.name.endswith(SEGMENT_SUFFIX)
        ]


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_blocks * 512
    except OSError:
        return 0  # the sender has just removed it


def _entries(folder: Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
    """What lies in a folder; nothing where it has just been removed, or is none."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []
