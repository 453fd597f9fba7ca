"""The files that artifacts are copied from: found, opened, copied.

What a caller names must be a file, or a folder, that can be read: anything else is the caller's mistake. What
lies somewhere below a folder is not: what cannot be an artifact there is left out, and told.
"""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from runstone.exceptions import InvalidInputError
from runstone.inputs import shown
from runstone.reflinks import reflinked

BLOCK: Final = 1 << 20
COPIED_AT_ONCE: Final = 64 << 20
"""Bytes that the kernel copies between two looks at signals, so that Ctrl-C ends a large copy."""

_MISTAKES: Final = (FileNotFoundError, NotADirectoryError, PermissionError, IsADirectoryError)


class SourceFile:
    """An open file; what is done to its name from now on does not matter.

    Attributes:
        size: bytes, when it was opened.
    """

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            InvalidInputError: it is no ordinary file, or this user may not read it.
            OSError: it cannot be read now.
        """
        try:
            # without waiting for the other end of a pipe
            self._file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as wrong:
            if isinstance(wrong, _MISTAKES) or not _regular(path):
                raise InvalidInputError(f"the artifact {str(path)!r} {_mistake(wrong)}") from None
            raise
        found = os.fstat(self._file)
        if not stat.S_ISREG(found.st_mode):
            os.close(self._file)
            raise InvalidInputError(f"the artifact {str(path)!r} is no file; name one that exists")
        self.size = found.st_size

    def copy(self, target: Path) -> None:
        """Copy the content to *target*, which must not exist: as a reflink where the file system can."""
        written = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if not reflinked(self._file, written):
                _copy(self._file, written, self.size)
        finally:
            os.close(written)

    def close(self) -> None:
        """Close it."""
        os.close(self._file)


def located(path: str | os.PathLike[str]) -> Path:
    """*path* as an absolute path where something is.

    Raises:
        InvalidInputError: it is none: another type, a text that no file can have for its name, nothing
            there, a folder on the way that cannot be entered, links in a circle.
    """
    try:
        found = Path(path)
        os.stat(path)  # noqa: PTH116  # Path("") is the current folder, which nobody means
        return found.absolute()
    except Exception as wrong:  # a foreign type's __fspath__ may raise anything
        reason = getattr(wrong, "strerror", None) or f"{wrong}"
        raise InvalidInputError(
            f"the artifact {shown(path)} is no file or folder that exists and can be read ({reason})"
        ) from None


def files_below(folder: Path, left_out: Callable[[str, str], None]) -> Iterator[tuple[Path, str]]:
    """Whatever is no folder below *folder*, with its path relative to it, folder by folder, by name.

    Args:
        folder: links to it are followed, links to folders within it are not.
        left_out: called with the relative path of a folder that is not looked into, and why.

    Raises:
        InvalidInputError: *folder* is none, or cannot be read.
    """
    if not folder.is_dir():
        raise InvalidInputError(f"{str(folder)!r} is no folder; expected one whose files are the artifacts")

    def unreadable(wrong: OSError) -> None:
        found = Path(wrong.filename)
        if found == folder:
            raise InvalidInputError(f"the folder {str(folder)!r} cannot be read ({wrong.strerror})") from None
        left_out(found.relative_to(folder).as_posix(), f"the folder cannot be read ({wrong.strerror})")

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        below = Path(parent).relative_to(folder).as_posix()
        prefix = "" if below == "." else f"{below}/"
        folders.sort()
        for name in folders:
            if os.path.islink(os.path.join(parent, name)):  # noqa: PTH114, PTH118  # thousands of them
                left_out(prefix + name, "links to folders are not followed")
        for name in sorted(names):
            yield Path(parent, name), prefix + name


def _copy(source: int, target: int, size: int) -> None:
    """Copy what is left of *source*; *size* tells real files from those that the kernel makes up."""
    copied = 0
    with contextlib.suppress(OSError):  # the two lie on file systems that cannot; or the bytes say why below
        while size and (moved := os.copy_file_range(source, target, COPIED_AT_ONCE)):
            copied += moved
    os.lseek(source, copied, os.SEEK_SET)
    os.lseek(target, copied, os.SEEK_SET)
    while block := os.read(source, BLOCK):
        rest = memoryview(block)
        while rest:
            rest = rest[os.write(target, rest) :]


def _regular(path: Path) -> bool:
    """Whether it is a file; sockets, for one, cannot be opened at all."""
    try:
        return path.is_file()
    except OSError:
        return True  # nobody knows


def _mistake(wrong: OSError) -> str:
    if isinstance(wrong, PermissionError):
        return "cannot be read by this user"
    if isinstance(wrong, FileNotFoundError | NotADirectoryError):
        return "is no file that exists"
    return "is no file; name one that exists"
