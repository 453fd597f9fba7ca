"""Stores an artifact in the store's folder, where this machine sees it.

Written under a temporary name, hashed on the way, synced, renamed, and the rename synced: a reader sees the
whole file or the one before, and what `Folder.store` has returned survives the death of the machine. Several
worker threads use one `Folder`.
"""

import errno
import fcntl
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
            sha256 = _put(place, data, place.with_name(f".{order.id}.0.part"))
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


def _put(place: Path, data: Path, temporary: Path) -> str:
    target = _opened(temporary)
    try:
        try:
            sha256 = _filled(target, data)
            os.fsync(target)
            temporary.replace(place)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    finally:
        os.close(target)
    return sha256


def _opened(temporary: Path) -> int:
    """The temporary file, empty, and a lock on it: two machines may send copies of one spool.

    What a sender that was killed left there is written over. Raises OSError where another sender is at it.
    """
    while True:
        opened = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _lock(opened)
            if os.path.samestat(os.fstat(opened), temporary.stat()):
                os.ftruncate(opened, 0)
                return opened
            os.close(opened)
        except FileNotFoundError:
            os.close(opened)  # the one who had the lock has renamed it this moment
        except BaseException:
            os.close(opened)
            raise


def _lock(opened: int) -> None:
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(errno.EAGAIN, "another sender is storing it") from None
    except OSError as wrong:
        if wrong.errno not in {errno.ENOLCK, errno.ENOTSUP, errno.EINVAL}:  # a file system without locks
            raise


def _filled(target: int, data: Path) -> str:
    """Copy *data*; its hash."""
    with data.open("rb", buffering=0) as source:
        if reflinked(source.fileno(), target):
            return hashlib.file_digest(source, "sha256").hexdigest()
        digest = hashlib.sha256()
        while block := source.read(BLOCK):
            digest.update(block)
            _write(target, block)
        return digest.hexdigest()


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
