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
from pathlib import Path
from typing import Final

import orjson
from aiohttp import web

from runstone.events.artifact_paths import check_artifact_path, location
from runstone.events.limits import EXPERIMENT_ID_MAX
from runstone.exceptions import InvalidInputError
from runstone_gateway.configuration import Configuration
from runstone_gateway.problems import problem

BLOCK: Final = 1024 * 1024
"""Bytes held in memory at once per upload."""


class Artifacts:
    """The route; files are written in threads so that a slow disk does not stop the loop."""

    def __init__(self, configuration: Configuration) -> None:
        self._root = configuration.artifact_root

    async def put(self, request: web.Request) -> web.Response:
        """Store the body; 201 with uri, size and sha256, 400 for bad names, 422 for other content."""
        try:
            place = self._root / _place(request)
        except InvalidInputError as wrong:
            return problem(400, "Not an artifact's address", str(wrong))
        expected = request.headers.get("X-Content-SHA256", "").lower()
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
        except (NotADirectoryError, IsADirectoryError, FileExistsError) as wrong:
            return problem(
                409, "A file and a folder of the same name", f"{wrong.filename}: choose another artifact path"
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


def _place(request: web.Request) -> Path:
    query = request.query
    experiment_id, run_id = query.get("experiment_id", ""), query.get("run_id", "")
    if not re.fullmatch(r"[0-9]{1,16}", experiment_id) or int(experiment_id) > EXPERIMENT_ID_MAX:
        raise InvalidInputError(f"experiment_id is {experiment_id[:40]!r}; expected a number below 2**53")
    if not re.fullmatch(r"[0-9a-f]{32}", run_id):
        raise InvalidInputError(f"run_id is {run_id[:40]!r}; expected 32 hexadecimal digits")
    return Path(location(int(experiment_id), run_id, check_artifact_path(query.get("path", ""))))


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
