"""Asks whether somebody holds a lock file, without waiting for it."""

import fcntl
import os
from pathlib import Path


def is_held(lock: Path) -> bool:
    """Whether a process holds *lock*. It is taken for an instant where it is free.

    Raises:
        OSError: it cannot be opened (`FileNotFoundError`: there is none), or its file system has no locks.
    """
    descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
