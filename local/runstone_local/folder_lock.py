"""One ``up`` per data folder: an flock, held as long as the process lives, that says who holds it."""

import datetime as dt
import fcntl
import json
import os
from pathlib import Path
from typing import Self

from runstone_local.exceptions import CannotStartError


class FolderLock:
    """Held from construction to ``release`` or the death of the process, whichever comes first.

    Children do not inherit it: its descriptor is closed when a program is executed.

    Raises:
        CannotStartError: another process holds it; the message says which, since when and its address.
    """

    def __init__(self, file: Path, address: str) -> None:
        self._file = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = _describe(os.pread(self._file, 4096, 0))
            os.close(self._file)
            raise CannotStartError(
                f"The data folder {file.parent} is in use by {holder}: stop that one, "
                "or name another folder with --data."
            ) from None
        since = dt.datetime.now().astimezone().isoformat(" ", "seconds")
        os.ftruncate(self._file, 0)
        os.pwrite(
            self._file, json.dumps({"pid": os.getpid(), "since": since, "address": address}).encode(), 0
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let go of the folder."""
        os.close(self._file)


def _describe(content: bytes) -> str:
    try:
        holder = json.loads(content)
        return f"process {holder['pid']} (since {holder['since']}, serving {holder['address']})"
    except (ValueError, KeyError, TypeError):
        return "another process, which has just started"
