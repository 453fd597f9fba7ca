"""``/api/2.0/mlflow-artifacts/artifacts``: MLflow's clients read and write files through this gateway.

A file passes through in blocks and is never whole in memory. What a client puts into a run's or a model's
folder also becomes a pointer, before the answer. Two uploads to one path go one after the other, so the last
pointer is that of the last file.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from runstone_gateway.forwarding import asked_for
from runstone_gateway.mlflow.artifact_answers import answering, json
from runstone_gateway.mlflow.artifact_places import (
    check_file,
    check_new_file,
    check_reading,
    decoded,
    is_hidden,
    is_listed,
    owner_of,
)
from runstone_gateway.mlflow.artifact_pointers import Pointers
from runstone_gateway.mlflow.errors import invalid, missing
from runstone_gateway.receiving import Receiving
from runstone_gateway.sending import send
from runstone_gateway.stores.store import Entry, MissingFileError, NameClashError, Store

PREFIXES: Final = ("/api/2.0/mlflow-artifacts", "/ajax-api/2.0/mlflow-artifacts")


def path_behind(request: web.Request, route: str) -> str:
    """What the request's own path names behind *route* of the proxy, decoded once."""
    raw = asked_for(request).partition("?")[0]
    for prefix in PREFIXES:
        if raw.startswith(f"{prefix}/{route}"):
            return decoded(raw[len(prefix) + 1 + len(route) :].removeprefix("/"))
    raise invalid("Invalid path")  # the route's own name is encoded in a way that nobody writes it


class ArtifactProxy:
    """The routes; used on the gateway's loop."""

    def __init__(self, store: Store, pointers: Pointers) -> None:
        self._store = store
        self._pointers = pointers
        self._uploads: dict[str, tuple[asyncio.Lock, int]] = {}

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Serve them under both prefixes."""
        for prefix in PREFIXES:
            router.add_get(f"{prefix}/artifacts", self.listing)
            router.add_get(f"{prefix}/artifacts/{{path:(?s:.*)}}", self.get)
            router.add_put(f"{prefix}/artifacts/{{path:(?s:.*)}}", self.put)
            router.add_delete(f"{prefix}/artifacts/{{path:(?s:.*)}}", self.delete)

    @answering
    async def listing(self, request: web.Request) -> web.Response:
        """The files and folders directly in the folder ``path``, by their own names."""
        folder = check_reading(request.query.get("path", ""))
        entries = await self._store.listing(folder) if not is_hidden(folder) else []
        files = [as_json(entry, entry.name) for entry in entries if is_listed(folder, entry.name)]
        return json({"files": files} if files else {})

    @answering
    async def get(self, request: web.Request) -> web.StreamResponse:
        """The file, or a range of it; 404 where there is none."""
        path = path_behind(request, "artifacts")
        return await send_file(request, self._store, check_reading(path), path)

    @answering
    async def put(self, request: web.Request) -> web.Response:
        """Store the body; 200 when the file is there and its pointer is in the ledger."""
        key = check_new_file(path_behind(request, "artifacts"))
        await self._pointers.ready(key)
        async with self._alone(key):
            received = Receiving(request.content)
            await self._store.put(key, aiter(received))
            await self._pointers.stored(key, self._store.uri(key), received.size, received.sha256)
        return web.Response()

    @answering
    async def delete(self, request: web.Request) -> web.Response:
        """Delete the file or folder; 200 also where there is none."""
        key = check_file(path_behind(request, "artifacts").removesuffix("/"))
        names = key.split("/")
        if owner_of(key) is None and (len(names) < 3 or names[0].isdecimal()):
            raise invalid("Invalid path: only what lies in a run's or a model's artifacts can be deleted.")
        await self._pointers.ready(key)
        async with self._alone(key):
            await self._store.delete(key)
            await self._pointers.deleted(key)
        return json({})

    @contextlib.asynccontextmanager
    async def _alone(self, key: str) -> AsyncIterator[None]:
        lock, users = self._uploads.get(key, (asyncio.Lock(), 0))
        self._uploads[key] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            lock, users = self._uploads.pop(key)
            if users > 1:
                self._uploads[key] = lock, users - 1


async def send_file(request: web.Request, store: Store, key: str, shown: str) -> web.StreamResponse:
    """The file at *key*, which messages call *shown*. Raises `MlflowError`."""
    if not key:
        raise invalid("Artifact path refers to a directory, not a file: ''")
    if is_hidden(key):
        raise missing(f"No such artifact: '{shown}'")
    try:
        opened = await store.open(key)
    except MissingFileError:
        raise missing(f"No such artifact: '{shown}'") from None
    except NameClashError:
        if await store.listing(key):
            raise invalid(f"Artifact path refers to a directory, not a file: '{shown}'") from None
        raise missing(f"No such artifact: '{shown}'") from None  # it would lie below a file
    try:
        return await send(request, opened, key)
    finally:
        await opened.close()


def as_json(entry: Entry, path: str) -> dict[str, object]:
    """MLflow's JSON of what lies at *path*."""
    found: dict[str, object] = {"path": path, "is_dir": entry.is_dir}
    if entry.size:
        found["file_size"] = entry.size
    return found
