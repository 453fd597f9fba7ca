"""Stores an artifact in the store's folder, where this machine sees it.

Written under a temporary name, hashed on the way, synced, renamed, and the rename synced: a reader sees the
whole file or the one before, and what `Folder.store` has returned survives the death of the machine. Several
worker threads use one `Folder`.
"""

import hashlib
import os
from pathlib import Path
from typing import Final

from runstone.events.artifact_paths import location
from runstone.reflinks import reflinked
from runstone.sender.storing import Order, Stored, UploadRefused

BLOCK: Final = 1 << 20
KNOWN_MOST: Final = 4096


class Folder:
    """The store's folder at *root*."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._durable: dict[Path, None] = {}

    def store(self, order: Order, data: Path, *, doubtful: bool) -> Stored:
        """Bring *data* to its place.

        *doubtful*: an attempt before this one may have done it, so what is there already may be it.

        Raises:
            UploadRefused: a file and a folder would have the same path.
            OSError: not now.
        """
        place = self.root / location(order.experiment_id, order.run_id, order.path)
        try:
            self._make(place.parent)
            ambiguous = place.is_dir()
        except (FileExistsError, NotADirectoryError):
            ambiguous = True
        if ambiguous:
            raise UploadRefused(
                f"{order.path} is a file and a folder in this run; choose another artifact path"
            )
        sha256 = _same(place, data) if doubtful else None
        if sha256 is None:
            sha256 = _put(place, data, f".{order.id}.{os.getpid()}.part")
        _sync(place.parent)
        return Stored(place.as_uri(), order.size, sha256)

    def _make(self, folder: Path) -> None:
        """Make the folder and those above it, each durably."""
        if folder in self._durable and folder.is_dir():
            return
        if folder != self.root:
            self._make(folder.parent)
            folder.mkdir(exist_ok=True)
            _sync(folder.parent)  # also where it was there: whoever made it may have died before this
        if len(self._durable) >= KNOWN_MOST:
            self._durable = {}
        self._durable[folder] = None


def sha256_of(path: Path) -> str:
    """The hash of a file's content, in hexadecimal digits."""
    with path.open("rb", buffering=0) as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _same(place: Path, data: Path) -> str | None:
    """The hash of *data* where *place* has the same content, else None."""
    try:
        if place.is_symlink() or place.stat().st_size != data.stat().st_size:
            return None
        found = sha256_of(place)
    except FileNotFoundError:
        return None
    return found if found == sha256_of(data) else None


def _put(place: Path, data: Path, name: str) -> str:
    temporary = place.with_name(name)
    try:
        with data.open("rb", buffering=0) as source, temporary.open("wb", buffering=0) as target:
            if reflinked(source.fileno(), target.fileno()):
                sha256 = hashlib.file_digest(source, "sha256").hexdigest()
            else:
                digest = hashlib.sha256()
                while block := source.read(BLOCK):
                    digest.update(block)
                    _write(target.fileno(), block)
                sha256 = digest.hexdigest()
            os.fsync(target.fileno())
        temporary.replace(place)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return sha256


def _write(target: int, block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[os.write(target, rest) :]


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
