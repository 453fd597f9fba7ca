"""The artifacts of runs, logged models and model versions by their ids: listed, sent, and one kind of upload.

Everything comes from the store that this installation has. What an experiment keeps elsewhere, because it was
created with a location of its own, its clients read there themselves; this gateway does not.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from runstone_gateway.mlflow.artifact_answers import answering, json
from runstone_gateway.mlflow.artifact_locations import key_of, location_of, model_root, run_root
from runstone_gateway.mlflow.artifact_places import check_file, check_path, check_reading, is_listed
from runstone_gateway.mlflow.artifact_pointers import Pointers
from runstone_gateway.mlflow.artifact_proxy import as_json, send_file
from runstone_gateway.mlflow.decoding import SMALL_BODY_MOST, Fields, decode, parse, read_body
from runstone_gateway.mlflow.errors import BAD_REQUEST, NOT_IMPLEMENTED, MlflowError, invalid, missing
from runstone_gateway.mlflow.messages import INTEGER, message
from runstone_gateway.mlflow.services import Services
from runstone_gateway.receiving import Receiving
from runstone_gateway.stores.store import Store

PREFIXES: Final = ("/api/2.0/mlflow", "/ajax-api/2.0/mlflow")

UPLOAD_MOST: Final = 10 * 1024 * 1024
"""Bytes that ``upload-artifact`` takes; MLflow's limit."""

SIGNED_MOST_S: Final = 604_800

_PRESIGN: Final = message("run_id", "model_id", "path", expiration=INTEGER)


class RunArtifacts:
    """The routes; used on the gateway's loop."""

    def __init__(self, store: Store, pointers: Pointers, services: Services) -> None:
        self._store = store
        self._pointers = pointers
        self._root = services.configuration.artifact_root
        self._writes = services.writes
        self._read_api = services.read_api

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Serve them, each where MLflow's server does."""
        router.add_get("/get-artifact", self.get)
        router.add_get("/model-versions/get-artifact", self.get_of_version)
        router.add_post("/ajax-api/2.0/mlflow/upload-artifact", self.upload)
        router.add_get("/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files", self.get_of_model)
        for prefix in PREFIXES:
            router.add_get(f"{prefix}/artifacts/list", self.listing)
            router.add_get(f"{prefix}/logged-models/{{model_id}}/artifacts/directories", self.list_of_model)
            router.add_post(f"{prefix}/artifacts/presigned-download-url", self.presign_download)
            router.add_post(f"{prefix}/artifacts/presigned-upload-url", self.presign_upload)

    @answering
    async def get(self, request: web.Request) -> web.StreamResponse:
        """A file of a run."""
        run_id = request.query.get("run_id") or request.query.get("run_uuid")
        path = check_reading(_required(request, "path"))
        return await self._send(request, await self._of_run(run_id), path)

    @answering
    async def get_of_model(self, request: web.Request) -> web.StreamResponse:
        """A file of a logged model."""
        path = request.query.get("artifact_file_path", "")
        if not path:
            raise MlflowError(
                BAD_REQUEST, 'Request must include the "artifact_file_path" query parameter.', status=400
            )
        return await self._send(
            request, await self._of_model(request.match_info["model_id"]), check_reading(path)
        )

    @answering
    async def get_of_version(self, request: web.Request) -> web.StreamResponse:
        """A file of a version of a registered model."""
        name, version = request.query.get("name"), request.query.get("version")
        path = check_reading(_required(request, "path"))
        query = urlencode({"name": name or "", "version": version or ""})
        await self._writes.ledger.ready()
        needs = await self._writes.ledger.at_least_for_all()
        found = await self._read_api.get(f"{PREFIXES[0]}/model-versions/get-download-uri?{query}", needs)
        if found is None:
            raise missing(f"Model Version (name={name}, version={version}) not found")
        return await self._send(request, await self._of_source(str(found.get("artifact_uri"))), path)

    @answering
    async def listing(self, request: web.Request) -> web.Response:
        """What lies directly in a folder of a run."""
        run_id = request.query.get("run_id") or request.query.get("run_uuid")
        if not run_id:
            raise invalid(
                "Missing value for required parameter 'run_id'. See the API docs for more information about "
                "request parameters."
            )
        path = check_reading(request.query.get("path", ""))
        return await self._list(await self._of_run(run_id), path)

    @answering
    async def list_of_model(self, request: web.Request) -> web.Response:
        """What lies directly in a folder of a logged model."""
        path = check_reading(request.query.get("artifact_directory_path", ""))
        return await self._list(await self._of_model(request.match_info["model_id"]), path)

    @answering
    async def upload(self, request: web.Request) -> web.Response:
        """Store a small file of a run, as MLflow's pages do."""
        run_id, path = request.query.get("run_uuid"), request.query.get("path")
        if not run_id:
            raise invalid("Request must specify run_uuid.")
        if not path:
            raise invalid("Request must specify path.")
        check_path(path)
        if (request.content_length or 0) > UPLOAD_MOST:
            raise invalid("Artifact size is too large. Max size is 10MB.")
        received = Receiving(request.content)
        parts: list[bytes] = []
        async for block in received:
            parts.append(block)
            if received.size > UPLOAD_MOST:
                raise invalid("Artifact size is too large. Max size is 10MB.")
        if not parts:
            raise invalid("Request must specify data.")
        key = check_file(_below(self._key(await self._of_run(run_id)), path))
        await self._store.put(key, _each(parts))
        await self._pointers.stored(key, self._store.uri(key), received.size, received.sha256)
        return web.Response(content_type="application/json")

    @answering
    async def presign_download(self, request: web.Request) -> web.Response:
        """MLflow's answer of a server whose runs lie behind its proxy, which ours always do."""
        asked = decode(_PRESIGN, parse(await read_body(request, SMALL_BODY_MOST)), ["run_id", "path"])
        check_path(asked["path"])
        expiration = asked.get("expiration", 300)
        if not 1 <= expiration <= SIGNED_MOST_S:
            raise invalid(f"expiration must be between 1 and {SIGNED_MOST_S} seconds (got {expiration}).")
        scheme = urlsplit(await self._of_run(asked["run_id"])).scheme
        if scheme in {"http", "https", "mlflow-artifacts"}:
            raise invalid(
                "Presigned download is not supported for runs with proxied artifact storage (artifact URI "
                f"scheme: {scheme}). This endpoint requires a run with a direct cloud storage artifact URI."
            )
        raise _not_signed("download")

    @answering
    async def presign_upload(self, request: web.Request) -> web.Response:
        """The same for uploads."""
        asked = decode(_PRESIGN, parse(await read_body(request, SMALL_BODY_MOST)), ["path"])
        root = await self._of_either(asked)
        scheme = urlsplit(root).scheme
        if scheme in {"http", "https", "mlflow-artifacts"}:
            raise invalid(
                "Presigned upload is not supported for proxied artifact storage (artifact URI scheme: "
                f"{scheme}). This endpoint requires a direct cloud storage artifact URI."
            )
        raise _not_signed("upload")

    async def _of_either(self, asked: Fields) -> str:
        run_id, model_id = asked.get("run_id"), asked.get("model_id")
        if bool(run_id) == bool(model_id):
            raise invalid("Exactly one of run_id and model_id must be provided.")
        check_path(asked["path"])
        return await (self._of_run(run_id) if run_id else self._of_model(str(model_id)))

    async def _of_run(self, run_id: str | None) -> str:
        """The run's artifact URI."""
        found = await self._writes.run(run_id) if run_id else None
        if found is None or not run_id:
            raise missing(f"Run with id={run_id} not found")
        return run_root(await self._location(found.fields), run_id)

    async def _of_model(self, model_id: str) -> str:
        """The logged model's artifact URI."""
        found = await self._writes.model(model_id)
        if found is None:
            raise missing(f"Logged model with ID '{model_id}' not found.")
        return model_root(await self._location(found[1].fields), model_id)

    async def _of_source(self, uri: str) -> str:
        """Where what a model version names as its source lies."""
        parts = urlsplit(uri)
        name, _, rest = parts.path.lstrip("/").partition("/")
        if parts.scheme == "models" and name.startswith("m-"):
            return _below(await self._of_model(name), rest)
        if parts.scheme == "runs":
            return _below(await self._of_run(name), rest)
        return uri

    async def _location(self, fields: Mapping[str, Any]) -> str:
        experiment_id = int(fields.get("experiment_id") or 0)
        return location_of(experiment_id, await self._writes.experiment(experiment_id))

    def _key(self, uri: str) -> str:
        key = key_of(uri, self._root)
        if key is None:
            raise MlflowError(
                NOT_IMPLEMENTED,
                f"The artifacts lie at {uri[:200]}, outside of the store of this server: read them there.",
            )
        return check_path(key)

    async def _send(self, request: web.Request, root: str, path: str) -> web.StreamResponse:
        key = _below(self._key(root), path)
        return await send_file(request, self._store, key, key)

    async def _list(self, root: str, path: str) -> web.Response:
        folder = _below(self._key(root), path)
        entries = [e for e in await self._store.listing(folder) if is_listed(folder, e.name)]
        files = [as_json(entry, _below(path, entry.name)) for entry in entries]
        return json({"root_uri": root} | ({"files": files} if files else {}))


def _below(folder: str, path: str) -> str:
    return f"{folder}/{path}" if folder and path else folder or path


def _required(request: web.Request, name: str) -> str:
    if name not in request.query:
        raise MlflowError(BAD_REQUEST, f"Request must specify {name}.", status=400)
    return request.query[name]


def _not_signed(what: str) -> MlflowError:
    return MlflowError(
        NOT_IMPLEMENTED, f"Presigned {what} is not supported for the current artifact repository"
    )


async def _each(parts: list[bytes]) -> Any:
    for part in parts:
        yield part
