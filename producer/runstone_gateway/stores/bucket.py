"""A bucket of an S3 service as the artifact store, by obstore; the ``AWS_*`` environment says which service.

A file appears when its upload is complete, never in parts. Object stores have no folders: a *folder* here is
what keys have in common, and since a listing could show a file and a folder of one name, such a pair is
refused as a file system would. (Two uploads at the same instant can still make one.) The store's own retries
are few and short: who uploads or downloads tries again itself.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from typing import Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from runstone.events.artifact_roots import Bucket, uri_below
from runstone.events.limits import MIB
from runstone_gateway.stores.parts import Parts
from runstone_gateway.stores.store import (
    READ,
    Entry,
    MissingFileError,
    NameClashError,
    Opened,
    Part,
    StoreAwayError,
)

PART: Final = 8 * MIB
PARTS_AT_ONCE: Final = 2
"""An upload holds so many parts of this size in memory; smaller ones travel in one request."""


def connect(bucket: Bucket) -> S3Store:
    """The client of *bucket*; nothing is connected yet."""
    return S3Store(
        bucket.name,
        prefix=bucket.prefix or None,
        client_options={
            "allow_http": True,  # the endpoint says which it is
            "connect_timeout": timedelta(seconds=5),
            "read_timeout": timedelta(seconds=60),
            "timeout": timedelta(days=1),  # of a whole request: a large file takes its time
        },
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
    )


class BucketStore:
    """See `Store`."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._store = connect(bucket)
        self._parts = Parts(self._store)

    def uri(self, key: str) -> str:
        return uri_below(self._bucket, key)

    async def put(self, key: str, body: AsyncIterator[bytes]) -> None:
        await self._refuse_clash(key)
        with _told():
            small = await _head_of(body)
            if len(small) < PART:
                await obstore.put_async(self._store, key, small, use_multipart=False)
                return
            await obstore.put_async(
                self._store, key, _behind(small, body), chunk_size=PART, max_concurrency=PARTS_AT_ONCE
            )

    async def open(self, key: str) -> Opened:
        with _told():
            try:
                found = await obstore.head_async(self._store, key)
            except FileNotFoundError:
                if await self._below(key):
                    raise NameClashError(f"{key!a} is a folder") from None
                raise MissingFileError(f"there is no file {key!a}") from None
        return _OpenedObject(self._store, key, found["size"], found["e_tag"] or "")

    async def size(self, key: str) -> int:
        return (await self.open(key)).size

    async def listing(self, folder: str) -> list[Entry]:
        with _told():
            found = await obstore.list_with_delimiter_async(self._store, folder or None)
        folders = {prefix.rpartition("/")[2] for prefix in found["common_prefixes"]}
        files = {meta["path"].rpartition("/")[2]: meta["size"] for meta in found["objects"]}
        entries = [Entry(name, True, 0) for name in folders if name]
        return sorted([*entries, *(Entry(name, False, size) for name, size in files.items() if name)])

    async def delete(self, key: str) -> None:
        with _told():
            await obstore.delete_async(self._store, key)
            async for found in obstore.list(self._store, key, chunk_size=1000):
                await obstore.delete_async(self._store, [meta["path"] for meta in found])

    async def presigned_download(self, key: str, seconds: int) -> str | None:
        with _told():
            return await obstore.sign_async(self._store, "GET", key, timedelta(seconds=seconds))

    async def begin_parts(self, key: str, parts: int) -> tuple[str, list[str]] | None:
        await self._refuse_clash(key)
        with _told():
            return await self._parts.begin(key, parts)

    async def complete_parts(self, key: str, upload: str, parts: Sequence[Part]) -> int | None:
        with _told():
            if not await self._parts.complete(key, upload, parts):
                return None
            return (await obstore.head_async(self._store, key))["size"]

    async def abort_parts(self, key: str, upload: str) -> bool:
        with _told():
            return await self._parts.abort(key, upload)

    async def close(self) -> None:
        await self._parts.close()

    async def _refuse_clash(self, key: str) -> None:
        names = key.split("/")
        above = ["/".join(names[:n]) for n in range(1, len(names))]
        with _told():
            files = await asyncio.gather(*(self._is_file(place) for place in above))
            below = await self._below(key)
        if any(files) or below:
            raise NameClashError(f"{key!a} is a file and a folder; choose another artifact path")

    async def _is_file(self, key: str) -> bool:
        try:
            await obstore.head_async(self._store, key)
        except FileNotFoundError:
            return False
        return True

    async def _below(self, key: str) -> bool:
        async for found in obstore.list(self._store, key, chunk_size=1):
            if found:
                return True
        return False


class _OpenedObject:
    """See `Opened`."""

    def __init__(self, store: S3Store, key: str, size: int, tag: str) -> None:
        self.size = size
        self.tag = tag
        self.descriptor = None
        self._store = store
        self._key = key

    async def read(self, first: int, length: int) -> AsyncIterator[bytes]:
        if not length:
            return
        with _told():
            found = await obstore.get_async(
                self._store,
                self._key,
                options={"range": (first, first + length), "if_match": self.tag or None},
            )
            async for block in found.stream(READ):
                yield block

    async def close(self) -> None:
        pass


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Say what the object store said in the store's terms."""
    try:
        yield
    except AlreadyExistsError as wrong:
        raise NameClashError("a file and a folder of the same name; choose another artifact path") from wrong
    except (BaseError, FileNotFoundError, OSError) as wrong:
        # its messages go on with the request's inner life
        raise StoreAwayError(f"the object store: {str(wrong).partition(chr(10))[0][:300]}") from wrong


async def _head_of(body: AsyncIterator[bytes]) -> bytes:
    """The first bytes of *body*: all of it where that is less than `PART`."""
    found = bytearray()
    async for block in body:
        found += block
        if len(found) >= PART:
            break
    return bytes(found)


async def _behind(head: bytes, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for block in body:
        yield block
