"""Uploads in parts and signed downloads: bytes go between client and object store, not through the gateway.

Both exist where the store does them; else MLflow's clients are told so and send, or fetch, in one piece. What
is put together of parts was never seen here, so its pointer has a size and no hash.
"""

from typing import Any, Final

from aiohttp import web

from runstone_gateway.mlflow.artifact_answers import answering, json
from runstone_gateway.mlflow.artifact_places import check_file, check_new_file, check_path
from runstone_gateway.mlflow.artifact_pointers import Pointers
from runstone_gateway.mlflow.artifact_proxy import PREFIXES, path_behind
from runstone_gateway.mlflow.decoding import SMALL_BODY_MOST, decode, parse, read_body
from runstone_gateway.mlflow.errors import NOT_IMPLEMENTED, MlflowError, invalid
from runstone_gateway.mlflow.messages import INTEGER, Field, message
from runstone_gateway.stores.store import Part, Store

PARTS_MOST: Final = 10_000
"""S3's limit."""

SIGNED_FOR_S: Final = 300
"""Seconds that a signed download's URL can be used; MLflow's default."""

_CREATE: Final = message("path", num_parts=INTEGER)
_PART: Final = message("etag", "url", part_number=INTEGER)
_COMPLETE: Final = message("path", "upload_id", parts=Field("parts", _PART, repeated=True))
_ABORT: Final = message("path", "upload_id")


class ArtifactParts:
    """The routes; used on the gateway's loop."""

    def __init__(self, store: Store, pointers: Pointers) -> None:
        self._store = store
        self._pointers = pointers

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Serve them under both prefixes."""
        for prefix in PREFIXES:
            router.add_post(f"{prefix}/mpu/create/{{path:(?s:.*)}}", self.create)
            router.add_post(f"{prefix}/mpu/complete/{{path:(?s:.*)}}", self.complete)
            router.add_post(f"{prefix}/mpu/abort/{{path:(?s:.*)}}", self.abort)
            router.add_get(f"{prefix}/presigned/{{path:(?s:.*)}}", self.presigned)

    @answering
    async def create(self, request: web.Request) -> web.Response:
        """Begin an upload; its id and a signed URL for each part."""
        asked = decode(_CREATE, parse(await read_body(request, SMALL_BODY_MOST)), ["path"])
        key = _key(request, "mpu/create", asked)
        number = asked.get("num_parts", 1)
        if not 1 <= number <= PARTS_MOST:
            raise invalid(f"Invalid value {number} for parameter 'num_parts': expected 1 to {PARTS_MOST}.")
        begun = await self._store.begin_parts(key, number)
        if begun is None:
            raise _no_parts()
        upload, urls = begun
        credentials = [{"url": url, "part_number": n, "headers": {}} for n, url in enumerate(urls, 1)]
        return json({"upload_id": upload, "credentials": credentials})

    @answering
    async def complete(self, request: web.Request) -> web.Response:
        """Make the file of its parts, and publish its pointer."""
        asked = decode(_COMPLETE, parse(await read_body(request, SMALL_BODY_MOST)), ["path", "parts"])
        key = _key(request, "mpu/complete", asked)
        parts = [Part(part.get("part_number", 0), part.get("etag", "")) for part in asked["parts"]]
        await self._pointers.ready(key)
        size = await self._store.complete_parts(key, asked.get("upload_id", ""), parts)
        if size is None:
            raise _no_parts()
        await self._pointers.stored(key, self._store.uri(key), size, "")
        return json({})

    @answering
    async def abort(self, request: web.Request) -> web.Response:
        """Throw the parts away."""
        asked = decode(_ABORT, parse(await read_body(request, SMALL_BODY_MOST)), ["path"])
        key = _key(request, "mpu/abort", asked)
        if not await self._store.abort_parts(key, asked.get("upload_id", "")):
            raise _no_parts()
        return json({})

    @answering
    async def presigned(self, request: web.Request) -> web.Response:
        """A URL at which the store itself gives the file, for five minutes."""
        key = check_file(path_behind(request, "presigned"))
        url = await self._store.presigned_download(key, SIGNED_FOR_S)
        if url is None:
            raise MlflowError(
                NOT_IMPLEMENTED, "Multipart download is not supported for the current artifact repository"
            )
        return json({"url": url, "headers": {}, "file_size": await self._store.size(key)})


def _key(request: web.Request, route: str, asked: dict[str, Any]) -> str:
    """The folder in the request's path and the name of the client's file."""
    folder = check_path(path_behind(request, route).removesuffix("/"))
    name = asked["path"].replace("\\", "/").rpartition("/")[2]
    return check_new_file(f"{folder}/{name}" if folder else name)


def _no_parts() -> MlflowError:
    return MlflowError(
        NOT_IMPLEMENTED, "Multipart upload is not supported for the current artifact repository"
    )
