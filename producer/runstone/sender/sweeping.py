"""Removes folders that never became sessions: their process died while it was making them."""

import fcntl
import logging
import os
import shutil
import time
from pathlib import Path
from typing import Final

from runstone.spool.layout import SessionFolder
from runstone.spool.segment import HEADER_SIZE

log = logging.getLogger(__name__)

UNMADE_AFTER: Final = 3600.0
"""Seconds after which nobody is still making a session, which takes a millisecond."""

_FIRST: Final = 8
"""Bytes of a record that are zero as long as there is none."""


def sweep(folder: SessionFolder, gone: Path) -> bool:
    """Remove *folder*, which has no ``session.json``, by way of *gone*; False where it must stay.

    It must stay while its process may live, and where it holds a record, for whoever wants to read that.
    """
    try:
        if folder.machine.of_this_boot and time.time() - folder.path.stat().st_mtime < UNMADE_AFTER:
            return False
        if any(_holds_a_record(folder.segment(number)) for number in folder.segment_numbers()):
            return False
        try:
            lock = os.open(folder.lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            folder.path.rename(gone)
        else:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                folder.path.rename(gone)
            finally:
                os.close(lock)
    except OSError as wrong:  # its process lives after all, or the disk refuses; there is no hurry
        log.info("the folder %s stays: %s", folder.path, wrong)
        return False
    shutil.rmtree(gone, ignore_errors=True)
    log.info("the folder %s, which never became a session, is removed", folder.path)
    return True


def _holds_a_record(segment: Path) -> bool:
    with segment.open("rb") as file:
        file.seek(HEADER_SIZE)
        return any(file.read(_FIRST))
