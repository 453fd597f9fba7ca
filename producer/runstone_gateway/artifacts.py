"""``PUT /api/v1/artifacts``: takes a file in for a sender whose machine cannot see the artifact store.

Checked against the hash that the sender computed before anybody can see it. Only the pointer, which the
sender publishes afterwards, makes it part of a run.

``GET`` answers a sender that does not know whether the file arrived, or wants to know before it sends a large
one whether it may: the same parameters, and the content's ``size`` and ``sha256``.
"""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from typing import Final

import orjson
from aiohttp import web

from runstone.events.artifact_paths import check_artifact_path, location
from runstone.events.limits import EXPERIMENT_ID_MAX
from runstone.exceptions import InvalidInputError
from runstone_gateway.problems import problem
from runstone_gateway.receiving import BrokenUploadError, ContentDiffersError, Receiving
from runstone_gateway.stores.store import MissingFileError, NameClashError, Store, StoreAwayError

_PARAMETERS: Final = ("experiment_id", "run_id", "path")
_DESCRIBED: Final = (*_PARAMETERS, "size", "sha256")
_SHA256: Final = re.compile("[0-9a-f]{64}")


class Artifacts:
    """The routes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, request: web.Request) -> web.Response:
        """200 with uri, size and sha256 where the store has just that content there, 204 where it has not."""
        try:
            key = _key(request, _DESCRIBED)
            size, sha256 = _described(request)
        except _UnusableError as wrong:
            return _unusable(wrong)
        try:
            there = await self._has(key, size, sha256)
        except NameClashError:
            return _clash(request)
        except StoreAwayError as wrong:
            return problem(503, "The artifact store does not answer", f"{wrong}; ask again")
        return self._answer(200, key, size, sha256) if there else web.Response(status=204)

    async def _has(self, key: str, size: int, sha256: str) -> bool:
        try:
            file = await self._store.open(key)
        except MissingFileError:
            return False
        try:
            if file.size != size:
                return False
            digest = hashlib.sha256()
            async for block in file.read(0, size):
                await asyncio.to_thread(digest.update, block)
            return digest.hexdigest() == sha256
        finally:
            await file.close()

    def _answer(self, status: int, key: str, size: int, sha256: str) -> web.Response:
        answer = {"uri": self._store.uri(key), "size": size, "sha256": sha256}
        return web.Response(status=status, body=orjson.dumps(answer), content_type="application/json")

    async def put(self, request: web.Request) -> web.Response:
        """Store the body; 201 with uri, size and sha256, 400 for bad names, 422 for other content."""
        try:
            key = _key(request, _PARAMETERS)
            expected = _expected(request)
        except _UnusableError as wrong:
            return _unusable(wrong)
        received = Receiving(request.content, expected)
        try:
            await self._store.put(key, aiter(received))
        except ContentDiffersError as wrong:
            return problem(422, "The content differs", str(wrong))
        except BrokenUploadError as wrong:
            return problem(400, "Bad Request", str(wrong))
        except NameClashError:
            return _clash(request)
        except StoreAwayError as wrong:
            return problem(507, "The artifact store cannot take the file", f"{wrong}; it is tried again")
        return self._answer(201, key, received.size, received.sha256)


def _unusable(wrong: "_UnusableError") -> web.Response:
    return problem(400, "Not an artifact's address", str(wrong), **wrong.members)


def _clash(request: web.Request) -> web.Response:
    return problem(
        409,
        "A file and a folder of the same name",
        f"{request.query['path']} is a file and a folder in this run; choose another artifact path",
    )


class _UnusableError(Exception):
    """A part of the request that names no place or no content."""

    def __init__(self, field: str, found: str, accepted: str, sentence: str = "") -> None:
        found = ascii(found[:100])
        super().__init__(sentence or f"{field} is {found}; expected {accepted}")
        self.members = {"field": field, "found": found, "accepted": accepted}


def _key(request: web.Request, parameters: Sequence[str]) -> str:
    """Where the file belongs below the store's root; *parameters* are those that the request may have."""
    for name in request.query:
        if name not in parameters:
            raise _UnusableError("query", name, f"only {', '.join(parameters)}")
        if len(request.query.getall(name)) > 1:
            raise _UnusableError(name, "it twice", "it once")
    experiment_id, run_id, path = (request.query.get(name, "") for name in _PARAMETERS)
    if not re.fullmatch(r"[0-9]{1,16}", experiment_id) or int(experiment_id) > EXPERIMENT_ID_MAX:
        raise _UnusableError("experiment_id", experiment_id, "a number below 2**53")
    if not re.fullmatch(r"[0-9a-f]{32}", run_id):
        raise _UnusableError("run_id", run_id, "32 hexadecimal digits")
    try:
        return location(int(experiment_id), run_id, check_artifact_path(path)).as_posix()
    except InvalidInputError as wrong:
        raise _UnusableError("path", path, "a path that stays within the run", str(wrong)) from None


def _expected(request: web.Request) -> str:
    """The hash that the body must have; empty where the sender names none."""
    found = request.headers.get("X-Content-SHA256", "").lower()
    if found and not _SHA256.fullmatch(found):
        raise _UnusableError("X-Content-SHA256", found, "64 hexadecimal digits")
    return found


def _described(request: web.Request) -> tuple[int, str]:
    """Size and hash of the content that is asked for."""
    size, sha256 = request.query.get("size", ""), request.query.get("sha256", "").lower()
    if not re.fullmatch(r"[0-9]{1,18}", size):
        raise _UnusableError("size", size, "a number of bytes")
    if not _SHA256.fullmatch(sha256):
        raise _UnusableError("sha256", sha256, "64 hexadecimal digits")
    return int(size), sha256
