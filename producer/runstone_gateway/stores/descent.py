"""Goes down a folder name by name, never through a link: what is opened lies where its names say.

Every step opens the next folder relative to the one before, so nobody can put a link in between afterwards.
Everything here blocks and is called in threads.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from runstone_gateway.stores.store import MissingFileError, NameClashError

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def folder_below(root: Path, names: Sequence[str], *, make: bool = False) -> Iterator[int]:
    """A descriptor of the folder at *names* below *root*, made where *make* says so.

    Raises:
        MissingFileError: there is none.
        NameClashError: one of the names is a file, or a link.
    """
    if make:
        root.mkdir(parents=True, exist_ok=True)
    try:
        current = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise MissingFileError(f"there is no folder {root}") from None
    try:
        for name in names:
            below = _step(current, name, make=make)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)


def _step(current: int, name: str, *, make: bool) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=current)
    except FileNotFoundError:
        if not make:
            raise MissingFileError(f"there is no folder {name!a}") from None
    except OSError as wrong:
        raise _clash(wrong, name) from None
    with contextlib.suppress(FileExistsError):  # somebody else was quicker, with a folder or a file
        os.mkdir(name, dir_fd=current)
        os.fsync(current)
    try:
        return os.open(name, _FOLDER, dir_fd=current)
    except OSError as wrong:
        raise _clash(wrong, name) from None


def _clash(wrong: OSError, name: str) -> Exception:
    if wrong.errno in {errno.ENOTDIR, errno.ELOOP}:
        return NameClashError(f"{name!a} is no folder; choose another artifact path")
    return wrong


def open_file(folder: int, name: str) -> int:
    """A descriptor of the file *name* in the folder, for reading.

    Raises:
        MissingFileError: there is none, or what is there is no ordinary file.
        NameClashError: it is a folder.
    """
    try:
        # without waiting for the other end of a pipe
        found = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as wrong:
        if wrong.errno in {errno.ENOENT, errno.ELOOP, errno.ENXIO}:
            raise MissingFileError(f"there is no file {name!a}") from None
        raise
    mode = os.fstat(found).st_mode
    if stat.S_ISREG(mode):
        return found
    os.close(found)
    if stat.S_ISDIR(mode):
        raise NameClashError(f"{name!a} is a folder")
    raise MissingFileError(f"{name!a} is no ordinary file")
