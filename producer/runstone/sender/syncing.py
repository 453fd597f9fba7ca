"""Makes segments durable: ``fdatasync`` of those that grew, every 500 ms, in a worker thread.

The sender does it and not the training process, which never waits for a disk. What was appended since the
last time is what the death of the machine may cost.
"""

import os
from typing import Final

from runstone.spool.layout import SessionFolder

PERIOD: Final = 0.5
"""Seconds."""


class Syncing:
    """What has been synced of one session."""

    def __init__(self, folder: SessionFolder, number: int) -> None:
        """*number*: of the segment to begin with."""
        self._folder = folder
        self._number = number
        self._entries = 0
        self._read_to: object = None

    def due(self, read_to: object, more: bool) -> bool:
        """Whether something may have been appended since the last `sync`.

        Args:
            read_to: how far the sender has read the session by now.
            more: there is something it has not read.
        """
        grown = more or read_to != self._read_to
        self._read_to = read_to
        return grown

    def sync(self) -> None:
        """Sync the segments from the last synced one on, and the folder when a file was added. Blocks.

        A segment without dirty pages costs three system calls and no I/O.

        Raises:
            OSError: the disk refuses.
        """
        numbers = [n for n in self._folder.segment_numbers() if n >= self._number]
        for number in numbers:
            _sync(os.open(self._folder.segment(number), os.O_RDONLY | os.O_CLOEXEC), data_only=True)
        if numbers and numbers[-1] != self._entries:
            _sync(os.open(self._folder.path, os.O_RDONLY | os.O_CLOEXEC), data_only=False)
            self._entries = self._number = numbers[-1]


def _sync(descriptor: int, *, data_only: bool) -> None:
    try:
        (os.fdatasync if data_only else os.fsync)(descriptor)
    finally:
        os.close(descriptor)
