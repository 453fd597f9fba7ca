"""How much room artifacts have in the spool, so that they neither fill the disk nor starve what is logged.

Two rules: what waits on this machine (with what the store refused, which is kept) stays below
``RUNSTONE_ARTIFACT_SPOOL_LIMIT``; and a tenth of the file system, or as much as the log records may need
where that is less, stays free.

Every training process counts for itself. Looking at all that lies there costs a system call a file, so it is
done when enough was added to matter, and when it seems full; several processes may together exceed the limit
by a 64th each.
"""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from runstone.events.limits import MIB
from runstone.spool.layout import MachineFolder

ARTIFACT_LIMIT: Final = 10 * 1024 * MIB
"""Bytes that may wait unless ``RUNSTONE_ARTIFACT_SPOOL_LIMIT`` says otherwise."""

OVERHEAD: Final = 8192
"""Bytes that a file and its order take besides the content."""

FREE_SHARE: Final = 10
COUNT_AGAIN: Final = 64
LOOK_AGAIN_S: Final = 0.2


class NoRoomError(Exception):
    """The spool does not take a file now; the message says why and what to do."""


class ArtifactRoom:
    """The room in the spool of this machine; several threads may ask."""

    def __init__(self, machine: MachineFolder, limit: int, records_limit: int) -> None:
        """*limit* is for artifacts, *records_limit* the spool's own; bytes."""
        self._machine = machine
        self._limit = limit
        self._records_limit = records_limit
        self._lock = threading.Lock()
        self._found = 0
        self._added = 0
        self._looked = float("-inf")

    def take(self, size: int | None, whole: int | None = None) -> None:
        """Count *size* bytes of one more file.

        Args:
            size: None where it is not known yet: some room must be left all the same.
            whole: of a file that turned out larger than what was counted, by *size*, all its bytes.

        Raises:
            NoRoomError: they do not fit; nothing was counted.
            OSError: nobody can say.
        """
        large = "" if size is None else f"it has {told(size if whole is None else whole)}, "
        size = size or 0
        disk = os.statvfs(self._machine.sessions)
        free, whole = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        kept = min(self._records_limit, whole // FREE_SHARE)
        if whole and free - size < kept:  # some file systems do not say how large they are
            raise NoRoomError(
                f"{large}the disk of the spool {self._machine.path.parent} has {told(free)}"
                f" free, and {told(kept)} stay free for metrics and params; RUNSTONE_SPOOL names another"
            )
        with self._lock:
            full = self._found + self._added + size + OVERHEAD > self._limit
            if full or self._added > self._limit // COUNT_AGAIN:
                self._look()
                full = self._found + self._added + size + OVERHEAD > self._limit
            if full:
                raise NoRoomError(
                    f"{large}{told(self._found + self._added)} of artifacts wait in the spool"
                    f" (or were put aside in its folder 'rejected'), and it takes {told(self._limit)}"
                    " (RUNSTONE_ARTIFACT_SPOOL_LIMIT)"
                )
            self._added += size + OVERHEAD

    def give_back(self, size: int) -> None:
        """The file was not written after all."""
        with self._lock:
            self._added -= size + OVERHEAD

    def forked(self) -> None:
        """This process is a child: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()

    def _look(self) -> None:
        if time.monotonic() - self._looked < LOOK_AGAIN_S:
            return
        self._found, self._added = sum(_sizes(self._machine)), 0
        self._looked = time.monotonic()


def _sizes(machine: MachineFolder) -> Iterator[int]:
    for session in _entries(machine.sessions):
        yield from _files(Path(session) / "uploads")
    yield from _files(machine.rejected)


def _files(folder: Path) -> Iterator[int]:
    for entry in _entries(folder):
        try:
            yield entry.stat().st_size + OVERHEAD // 2
        except OSError:
            continue  # the sender has just removed it


def _entries(folder: Path) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def told(size: int) -> str:
    """A number of bytes as people read it."""
    amount, units = float(size), iter(("bytes", "KiB", "MiB", "GiB", "TiB"))
    unit = next(units)
    while amount >= 1024 and unit != "TiB":
        amount, unit = amount / 1024, next(units)
    return f"{amount:.3g} {unit}"
