"""Copying a file without moving its bytes, where the file system can share them between two files."""

import fcntl
from typing import Final

_FICLONE: Final = 0x40049409


def reflinked(source: int, target: int) -> bool:
    """Whether the empty file *target* is now a copy of *source*, both open; False: copy the bytes instead."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True
