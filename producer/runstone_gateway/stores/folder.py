"""A folder as the artifact store.

A file is written under a temporary name beside its place, synced and renamed, so a reader sees all of it or
none. No link below the root is ever followed (``descent``): neither to read, nor to write, nor to delete.
"""

import asyncio
import contextlib
import os
import shutil
import stat
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from runstone.events.artifact_roots import uri_below
from runstone_gateway.stores.descent import folder_below, open_file
from runstone_gateway.stores.store import (
    READ,
    SYNCED,
    Entry,
    MissingFileError,
    NameClashError,
    Opened,
    Part,
    StoreAwayError,
)


class FolderStore:
    """See `Store`; it neither signs URLs nor takes parts."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def uri(self, key: str) -> str:
        return uri_below(self._root, key)

    async def put(self, key: str, body: AsyncIterator[bytes]) -> None:
        with _told():
            *names, name = key.split("/")
            writing = await asyncio.to_thread(_Writing, self._root, names, name)
            try:
                await _stream(body, writing)
                await asyncio.to_thread(writing.publish)
            finally:
                await asyncio.to_thread(writing.close)

    async def open(self, key: str) -> Opened:
        with _told():
            return await asyncio.to_thread(_OpenedFile, self._root, key.split("/"))

    async def size(self, key: str) -> int:
        opened = await self.open(key)
        await opened.close()
        return opened.size

    async def listing(self, folder: str) -> list[Entry]:
        with _told():
            return await asyncio.to_thread(_listing, self._root, folder.split("/") if folder else [])

    async def delete(self, key: str) -> None:
        with _told():
            *names, name = key.split("/")
            await asyncio.to_thread(_delete, self._root, names, name)

    async def presigned_download(self, _key: str, _seconds: int) -> str | None:
        return None

    async def begin_parts(self, _key: str, _parts: int) -> tuple[str, list[str]] | None:
        return None

    async def complete_parts(self, _key: str, _upload: str, _parts: Sequence[Part]) -> int | None:
        return None

    async def abort_parts(self, _key: str, _upload: str) -> bool:
        return False

    async def close(self) -> None:
        pass


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Say what the file system said in the store's terms."""
    try:
        yield
    except OSError as wrong:
        raise StoreAwayError(f"the artifact folder: {wrong.strerror or wrong}") from wrong


async def _stream(body: AsyncIterator[bytes], writing: "_Writing") -> None:
    """Write *body*.

    One thread writes a block while the next is received; another takes to the disk what was written, so that
    little is left to sync behind the last block.
    """
    loop = asyncio.get_running_loop()
    appending: asyncio.Future[None] | None = None
    syncing: asyncio.Future[None] | None = None
    unsynced = 0
    try:
        async for block in body:
            if appending:
                await appending
            if unsynced >= SYNCED and (syncing is None or syncing.done()):
                if syncing:
                    await syncing
                syncing, unsynced = loop.run_in_executor(None, writing.sync), 0
            appending = loop.run_in_executor(None, writing.append, block)
            unsynced += len(block)
    finally:
        # no thread uses the file when it is published, or closed because the upload has failed
        if used := [work for work in (appending, syncing) if work]:
            await asyncio.wait(used)
    for work in used:
        work.result()


class _Writing:
    """A file on its way into a folder; used by an appending and a syncing thread, else by one at a time."""

    def __init__(self, root: Path, names: Sequence[str], name: str) -> None:
        self._name = name
        self._temporary = f".{uuid.uuid4().hex}.part"
        with folder_below(root, names, make=True) as folder:
            _refuse_folder(folder, name)
            self._folder = os.dup(folder)
        try:
            self._file = os.open(
                self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666,
                dir_fd=self._folder,
            )  # fmt: skip
        except OSError:
            os.close(self._folder)
            raise

    def append(self, block: bytes) -> None:
        rest = memoryview(block)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def sync(self) -> None:
        os.fdatasync(self._file)

    def publish(self) -> None:
        os.fsync(self._file)
        try:
            os.rename(self._temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except IsADirectoryError:
            raise _is_folder(self._name) from None
        os.fsync(self._folder)

    def close(self) -> None:
        os.close(self._file)
        with contextlib.suppress(OSError):  # it is gone where it was published
            os.unlink(self._temporary, dir_fd=self._folder)
        os.close(self._folder)


class _OpenedFile:
    """See `Opened`."""

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        with folder_below(root, names[:-1]) as folder:
            self.descriptor = open_file(folder, names[-1])
        found = os.fstat(self.descriptor)
        self.size = found.st_size
        self.tag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'

    async def read(self, first: int, length: int) -> AsyncIterator[bytes]:
        while length:
            block = await asyncio.to_thread(os.pread, self.descriptor, min(READ, length), first)
            if not block:
                raise StoreAwayError("the file became shorter while it was read")
            first += len(block)
            length -= len(block)
            yield block

    async def close(self) -> None:
        os.close(self.descriptor)


def _refuse_folder(folder: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise _is_folder(name)


def _is_folder(name: str) -> NameClashError:
    return NameClashError(f"{name!a} is a folder; choose another artifact path")


def _listing(root: Path, names: Sequence[str]) -> list[Entry]:
    try:
        with folder_below(root, names) as folder, os.scandir(folder) as found:
            entries = [
                Entry(entry.name, entry.is_dir(), 0 if entry.is_dir() else entry.stat().st_size)
                for entry in found
                if _can_be_shown(entry)
            ]
    except (MissingFileError, NameClashError):
        return []
    return sorted(entries)


def _can_be_shown(entry: "os.DirEntry[str]") -> bool:
    text = not any("\ud800" <= c <= "\udfff" for c in entry.name)  # which a name that is no UTF-8 has
    return text and not entry.is_symlink() and (entry.is_dir() or entry.is_file())


def _delete(root: Path, names: Sequence[str], name: str) -> None:
    with contextlib.suppress(MissingFileError, FileNotFoundError), folder_below(root, names) as folder:
        try:
            os.unlink(name, dir_fd=folder)
        except IsADirectoryError:
            shutil.rmtree(name, dir_fd=folder)
        os.fsync(folder)
