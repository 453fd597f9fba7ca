"""``PUT /api/v1/artifacts``: takes a file in for a sender whose machine cannot see the artifact store.

The file is written under a temporary name beside its place, synced, checked against the hash that the
sender computed, and renamed: a reader sees the whole file or none. Only the pointer, which the sender
publishes afterwards, makes it part of a run.
"""

import asyncio
import contextlib
import hashlib
import os
import re
import uuid
from io import BufferedWriter
from pathlib import Path, PurePosixPath
from typing import Final

import orjson
from aiohttp import web

from runstone.events.artifact_paths import check_artifact_path, location
from runstone.events.limits import EXPERIMENT_ID_MAX
from runstone.exceptions import InvalidInputError
from runstone_gateway.configuration import Configuration
from runstone_gateway.problems import problem

_PARAMETERS: Final = ("experiment_id", "run_id", "path")

BLOCK: Final = 1024 * 1024
"""Bytes held in memory at once per upload."""


class Artifacts:
    """The route; files are written in threads so that a slow disk does not stop the loop."""

    def __init__(self, configuration: Configuration) -> None:
        self._root = configuration.artifact_root

    async def put(self, request: web.Request) -> web.Response:
        """Store the body; 201 with uri, size and sha256, 400 for bad names, 422 for other content."""
        try:
            address = _address(request)
            expected = _expected(request)
        except _UnusableError as wrong:
            return problem(400, "Not an artifact's address", str(wrong), **wrong.members)
        place = self._root / address
        temporary = place.parent / f".{uuid.uuid4().hex}.part"
        try:
            size, found = await self._write(request, temporary)
            if expected and expected != found:
                return problem(
                    422,
                    "The content differs",
                    f"X-Content-SHA256 says {expected}, the body has {found}; send it again",
                )
            await asyncio.to_thread(_publish, temporary, place)
        except (NotADirectoryError, IsADirectoryError, FileExistsError):
            return problem(
                409,
                "A file and a folder of the same name",
                f"{request.query['path']} is a file and a folder in this run; choose another artifact path",
            )
        except OSError as wrong:
            return problem(
                507, "The artifact store cannot take the file", f"{wrong.strerror}; it is tried again"
            )
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        answer = {"uri": place.as_uri(), "size": size, "sha256": found}
        return web.Response(status=201, body=orjson.dumps(answer), content_type="application/json")

    async def _write(self, request: web.Request, temporary: Path) -> tuple[int, str]:
        digest, size = hashlib.sha256(), 0
        file = await asyncio.to_thread(_create, temporary)
        with file:
            async for block in request.content.iter_chunked(BLOCK):
                size += len(block)
                await asyncio.to_thread(_append, file, digest, block)
            await asyncio.to_thread(os.fsync, file.fileno())
        return size, digest.hexdigest()


class _UnusableError(Exception):
    """A part of the request that names no place or no content."""

    def __init__(self, field: str, found: str, accepted: str, sentence: str = "") -> None:
        found = ascii(found[:100])
        super().__init__(sentence or f"{field} is {found}; expected {accepted}")
        self.members = {"field": field, "found": found, "accepted": accepted}


def _address(request: web.Request) -> PurePosixPath:
    """Where the file belongs below the store's root."""
    for name in request.query:
        if name not in _PARAMETERS:
            raise _UnusableError("query", name, f"only {', '.join(_PARAMETERS)}")
        if len(request.query.getall(name)) > 1:
            raise _UnusableError(name, "it twice", "it once")
    experiment_id, run_id, path = (request.query.get(name, "") for name in _PARAMETERS)
    if not re.fullmatch(r"[0-9]{1,16}", experiment_id) or int(experiment_id) > EXPERIMENT_ID_MAX:
        raise _UnusableError("experiment_id", experiment_id, "a number below 2**53")
    if not re.fullmatch(r"[0-9a-f]{32}", run_id):
        raise _UnusableError("run_id", run_id, "32 hexadecimal digits")
    try:
        return location(int(experiment_id), run_id, check_artifact_path(path))
    except InvalidInputError as wrong:
        raise _UnusableError("path", path, "a path that stays within the run", str(wrong)) from None


def _expected(request: web.Request) -> str:
    """The hash that the body must have; empty where the sender names none."""
    found = request.headers.get("X-Content-SHA256", "").lower()
    if found and not re.fullmatch(r"[0-9a-f]{64}", found):
        raise _UnusableError("X-Content-SHA256", found, "64 hexadecimal digits")
    return found


def _create(temporary: Path) -> BufferedWriter:
    temporary.parent.mkdir(parents=True, exist_ok=True)
    return temporary.open("wb")


def _append(file: BufferedWriter, digest: "hashlib._Hash", block: bytes) -> None:
    digest.update(block)
    file.write(block)


def _publish(temporary: Path, place: Path) -> None:
    temporary.replace(place)
    folder = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
