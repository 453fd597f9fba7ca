"""Opens what an artifact's pointer names, in the folder or bucket that is the store.

The pointer's URI is an event's word, so anybody who can log an artifact chose it: a file is opened only when
it lies below the configured root, in a folder after every symbolic link has been followed. Nothing else is
ever read or fetched. File system calls run in threads.
"""

import asyncio
import functools
import os
import stat
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol
from urllib.parse import unquote, urlsplit

from runstone.events.artifact_roots import ArtifactRoot, Bucket
from runstone_query.problems import Problem

if TYPE_CHECKING:
    from obstore.store import S3Store

BLOCK: Final = 256 * 1024
"""Bytes read at once from a folder."""

FETCHED: Final = 256 * 1024
"""Bytes of a block from a bucket."""


class StoredFile(Protocol):
    """An open file; used by one request, closed by `close`.

    Attributes:
        size: bytes.
        tag: changes with the content; an HTTP entity tag with its quotes.
    """

    size: int
    tag: str

    def read(self, first: int, length: int) -> AsyncIterator[bytes]:
        """The bytes, in blocks. Raises `ConnectionResetError` where they cannot all be read."""

    async def close(self) -> None:
        """Let go of it."""


async def open_below(root: ArtifactRoot | None, uri: str) -> StoredFile:
    """The file at *uri*.

    Raises:
        Problem: 403 where it does not lie below *root*, 410 where there is no such file any more, 503 where
            the object store does not answer.
    """
    if isinstance(root, Bucket):
        return await _open_object(root, uri)
    return await asyncio.to_thread(_FolderFile, root, uri)


async def whole(root: ArtifactRoot | None, uri: str) -> bytes:
    """All of a file that is known to be small. Raises `Problem` as `open_below`."""
    file = await open_below(root, uri)
    try:
        return b"".join([block async for block in file.read(0, file.size)])
    except ConnectionResetError as cut:
        raise _away(cut) from cut
    finally:
        await file.close()


def _outside(uri: str) -> Problem:
    return Problem(
        403, "artifact-elsewhere", f"the artifact lies at {uri[:300]!a}, outside the store served here"
    )


def _away(why: BaseException) -> Problem:
    return Problem(
        503, "store-away", f"the artifact store does not give the file ({type(why).__name__}); ask again"
    )


def _gone() -> Problem:
    return Problem(410, "artifact-gone", "the artifact's file is no longer in the store")


class _FolderFile:
    """See `StoredFile`; made in a thread."""

    def __init__(self, root: Path | None, uri: str) -> None:
        self._file = _open_in_folder(root, uri)
        found = os.fstat(self._file.fileno())
        self.size = found.st_size
        self.tag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'

    async def read(self, first: int, length: int) -> AsyncIterator[bytes]:
        while length:
            block = await asyncio.to_thread(os.pread, self._file.fileno(), min(BLOCK, length), first)
            if not block:  # cut off while it is sent: the promised length breaks the connection, as it must
                raise ConnectionResetError("the file became shorter while it was sent")
            first += len(block)
            length -= len(block)
            yield block

    async def close(self) -> None:
        self._file.close()


def _open_in_folder(root: Path | None, uri: str) -> BinaryIO:
    try:
        parts = urlsplit(uri)
        path = Path(unquote(parts.path)).resolve()
    except (OSError, RuntimeError, ValueError):  # no URI, a NUL, links in a circle
        raise _outside(uri) from None
    if (
        root is None
        or parts.scheme != "file"
        or parts.netloc not in {"", "localhost"}
        or not path.is_relative_to(root.resolve())
    ):
        raise _outside(uri)
    try:
        # without waiting for the other end of a pipe, and not through a link put there in between
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        raise _gone() from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _gone()
    return os.fdopen(descriptor, "rb")


class _Object:
    """See `StoredFile`."""

    def __init__(self, store: "S3Store", key: str, size: int, tag: str) -> None:
        self.size = size
        self.tag = tag
        self._store = store
        self._key = key

    async def read(self, first: int, length: int) -> AsyncIterator[bytes]:
        import obstore  # noqa: PLC0415 - an API over a folder needs no client of object stores in memory

        if not length:
            return
        options: Any = {"range": (first, first + length), "if_match": self.tag or None}
        try:
            found = await obstore.get_async(self._store, self._key, options=options)
            async for block in found.stream(FETCHED):
                yield block
        except Exception as wrong:  # of the network, of credentials, of the service: obstore has many
            raise ConnectionResetError(f"the object store: {str(wrong).splitlines()[0][:300]}") from wrong

    async def close(self) -> None:
        pass


async def _open_object(root: Bucket, uri: str) -> StoredFile:
    import obstore  # noqa: PLC0415 - as above

    key = root.key_of(uri)
    if key is None:
        raise _outside(uri)
    store = _connected(root)
    try:
        found = await obstore.head_async(store, key)
    except FileNotFoundError:
        raise _gone() from None
    except ValueError:  # a key that is none
        raise _outside(uri) from None
    except Exception as wrong:  # as above
        raise _away(wrong) from wrong
    return _Object(store, key, found["size"], found["e_tag"] or "")


@functools.lru_cache(maxsize=4)
def _connected(root: Bucket) -> "S3Store":
    """The client of a bucket; the ``AWS_*`` environment says which service and who asks."""
    from obstore.store import S3Store  # noqa: PLC0415 - as above

    return S3Store(
        root.name,
        prefix=root.prefix or None,
        client_options={
            "allow_http": True,  # the endpoint says which it is
            "connect_timeout": timedelta(seconds=5),
            "read_timeout": timedelta(seconds=60),
            "timeout": timedelta(days=1),  # of a whole request: a large file takes its time
        },
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
    )
