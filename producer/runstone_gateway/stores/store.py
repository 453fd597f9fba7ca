"""What the gateway wants of an artifact store, whichever it is.

A *key* is a file's place below the store's root: names joined by slashes, none of them empty, ``.`` or
``..``. Whoever calls has checked it; a store that could still be led out of its root checks again.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from runstone.events.limits import KIB, MIB
from runstone.exceptions import RunstoneError

SYNCED: Final = 32 * MIB
"""Bytes that a folder gathers before it asks the disk for them, alongside the writing."""

WRITTEN: Final = MIB
READ: Final = 256 * KIB
"""Bytes moved at once, into the store and out of it: a thread's turn for each costs nothing beside them,
memory stays bounded, and what is read does not leave the processor's cache before it is sent."""


class MissingFileError(RunstoneError):
    """There is no such file in the store."""


class NameClashError(RunstoneError):
    """A file is where a folder would have to be, or the other way round, or something that is neither."""


class StoreAwayError(RunstoneError):
    """The store does not take or give files now; another try, or somebody's repair, may help."""


class Entry(NamedTuple):
    """What lies in a folder; the size of a folder is 0."""

    name: str
    is_dir: bool
    size: int


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a multipart upload, as the client was told by the store when it put it there."""

    number: int
    tag: str


class Opened(Protocol):
    """A file that is being read; used by one request, closed by `close`.

    Attributes:
        size: bytes.
        tag: changes when the content does, as an HTTP entity tag with its quotes.
    """

    size: int
    tag: str

    @property
    def descriptor(self) -> int | None:
        """Of the file, where it is one of this machine's; else None."""

    def read(self, first: int, length: int) -> AsyncIterator[bytes]:
        """The *length* bytes from *first*, in blocks. Raises `StoreAwayError` where they cannot be read."""

    async def close(self) -> None:
        """Give back what it holds."""


class Store(Protocol):
    """Used on the gateway's loop; what blocks runs in threads.

    Every method may raise `StoreAwayError`.
    """

    def uri(self, key: str) -> str:
        """The URI that a pointer to the file has."""

    async def put(self, key: str, body: AsyncIterator[bytes]) -> None:
        """Store *body*; a reader sees the whole file or the one before. What *body* raises stores nothing.

        Raises:
            NameClashError: *key* is a folder, or lies below a file.
        """

    async def open(self, key: str) -> Opened:
        """The file at *key*.

        Raises:
            MissingFileError: there is none.
            NameClashError: it is a folder.
        """

    async def size(self, key: str) -> int:
        """The bytes of the file at *key*. Raises `MissingFileError`."""

    async def listing(self, folder: str) -> list[Entry]:
        """What lies directly in *folder* (empty: the root), by name; nothing where it is none."""

    async def delete(self, key: str) -> None:
        """Delete the file at *key*, or the folder with all that is in it; nothing where nothing is."""

    async def presigned_download(self, key: str, seconds: int) -> str | None:
        """A URL that reads the file without further credentials; None where the store does not sign."""

    async def begin_parts(self, key: str, parts: int) -> tuple[str, list[str]] | None:
        """An upload id and a URL to put each part to; None where the store cannot.

        Raises:
            NameClashError: *key* is a folder, or lies below a file.
        """

    async def complete_parts(self, key: str, upload: str, parts: Sequence[Part]) -> int | None:
        """Make the file of its *parts*; its size, or None where the store cannot.

        Raises:
            MissingFileError: there is no such upload, or it has not these parts.
        """

    async def abort_parts(self, key: str, upload: str) -> bool:
        """Throw the parts away; False where the store cannot. Raises `MissingFileError`."""

    async def close(self) -> None:
        """Give back connections."""
