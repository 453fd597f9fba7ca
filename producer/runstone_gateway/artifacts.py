"""``PUT /api/v1/artifacts``: takes a file in for a sender whose machine cannot see the artifact store.

Checked against the hash that the sender computed before anybody can see it. Only the pointer, which the
sender publishes afterwards, makes it part of a run.
"""

import re
from typing import Final

import orjson
from aiohttp import web

from runstone.events.artifact_paths import check_artifact_path, location
from runstone.events.limits import EXPERIMENT_ID_MAX
from runstone.exceptions import InvalidInputError
from runstone_gateway.problems import problem
from runstone_gateway.receiving import BrokenUploadError, ContentDiffersError, Receiving
from runstone_gateway.stores.store import NameClashError, Store, StoreAwayError

_PARAMETERS: Final = ("experiment_id", "run_id", "path")


class Artifacts:
    """The route."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def put(self, request: web.Request) -> web.Response:
        """Store the body; 201 with uri, size and sha256, 400 for bad names, 422 for other content."""
        try:
            key = _key(request)
            expected = _expected(request)
        except _UnusableError as wrong:
            return problem(400, "Not an artifact's address", str(wrong), **wrong.members)
        received = Receiving(request.content, expected)
        try:
            await self._store.put(key, aiter(received))
        except ContentDiffersError as wrong:
            return problem(422, "The content differs", str(wrong))
        except BrokenUploadError as wrong:
            return problem(400, "Bad Request", str(wrong))
        except NameClashError:
            return problem(
                409,
                "A file and a folder of the same name",
                f"{request.query['path']} is a file and a folder in this run; choose another artifact path",
            )
        except StoreAwayError as wrong:
            return problem(507, "The artifact store cannot take the file", f"{wrong}; it is tried again")
        answer = {"uri": self._store.uri(key), "size": received.size, "sha256": received.sha256}
        return web.Response(status=201, body=orjson.dumps(answer), content_type="application/json")


class _UnusableError(Exception):
    """A part of the request that names no place or no content."""

    def __init__(self, field: str, found: str, accepted: str, sentence: str = "") -> None:
        found = ascii(found[:100])
        super().__init__(sentence or f"{field} is {found}; expected {accepted}")
        self.members = {"field": field, "found": found, "accepted": accepted}


def _key(request: web.Request) -> str:
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
        return location(int(experiment_id), run_id, check_artifact_path(path)).as_posix()
    except InvalidInputError as wrong:
        raise _UnusableError("path", path, "a path that stays within the run", str(wrong)) from None


def _expected(request: web.Request) -> str:
    """The hash that the body must have; empty where the sender names none."""
    found = request.headers.get("X-Content-SHA256", "").lower()
    if found and not re.fullmatch(r"[0-9a-f]{64}", found):
        raise _UnusableError("X-Content-SHA256", found, "64 hexadecimal digits")
    return found
