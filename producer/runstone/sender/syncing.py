"""Makes segments durable: ``fdatasync`` of those that grew, every 500 ms, in a worker thread.

The sender does it and not the training process, which never waits for a disk. What was appended since the
last time is what the death of the machine may cost.
"""

import os
from pathlib import Path
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
        self._gone = False
        self._settled = False

    def due(self, read_to: object, *, more: bool, gone: bool) -> bool:
        """Whether something may have been appended since the last `sync`.

        Args:
            read_to: how far the sender has read the session by now.
            more: there is something it has not read.
            gone: its process is, and the machine has not died since: the next `sync` settles all it left.
        """
        grown = more or read_to != self._read_to or (gone and not self._settled)
        self._read_to = read_to
        self._gone = gone
        return grown

    def sync(self) -> None:
        """Sync the segments from the last synced one on, and the folder when a file was added. Blocks.

        A segment without dirty pages costs three system calls and no I/O. Once the process is gone, the
        marker ``settled`` says that a later death of the machine has taken nothing of it.

        Raises:
            OSError: the disk refuses.
        """
        gone = self._gone
        numbers = [n for n in self._folder.segment_numbers() if n >= self._number]
        for number in numbers:
            _sync(os.open(self._folder.segment(number), os.O_RDONLY | os.O_CLOEXEC), data_only=True)
        if numbers and numbers[-1] != self._entries:
            if not self._entries:
                self._sync_names()
            _sync(os.open(self._folder.path, os.O_RDONLY | os.O_CLOEXEC), data_only=False)
            self._entries = self._number = numbers[-1]
        if gone and not self._settled:
            self._sync_small(self._folder.refused)
            self._folder.settled.touch()
            self._settled = True

    def _sync_names(self) -> None:
        """What makes the folder a session, and the folders above it up to the spool's root."""
        self._sync_small(self._folder.json)
        self._sync_small(self._folder.machine.format)
        for parent in list(self._folder.path.parents)[:3]:
            _sync(os.open(parent, os.O_RDONLY | os.O_CLOEXEC), data_only=False)

    @staticmethod
    def _sync_small(path: Path) -> None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        _sync(descriptor, data_only=False)


def _sync(descriptor: int, *, data_only: bool) -> None:
    try:
        (os.fdatasync if data_only else os.fsync)(descriptor)
    finally:
        os.close(descriptor)
