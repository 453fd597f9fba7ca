"""``/api/v1/runs/{run_id}/artifacts``: what files a run has, and their content."""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from runstone_query import artifact_content, artifacts, inputs, run_documents, schemas, stored_files
from runstone_query.problems import invalid, not_found
from runstone_query.reading import read
from runstone_query.routes.runs import RUN_ID
from runstone_query.routing import Route, in_query
from runstone_query.services import CONFIGURATION, json
from runstone_query.snapshot import Snapshot


async def list_artifacts(request: web.Request) -> web.Response:
    """The pointers in a folder of the run."""
    asked = inputs.query(request, ("path", "recursive"))
    run_id = inputs.run_id(request)
    path = asked.get("path", "").strip("/")
    recursive = inputs.flag("recursive", asked.get("recursive", "false"))

    async def listing(snapshot: Snapshot) -> list[artifacts.Entry]:
        await run_documents.require(snapshot, run_id)
        return await artifacts.listing(snapshot, run_id, path, recursive=recursive)

    found = await read(request, listing)
    return json({"run_id": run_id, "path": path, "artifacts": found})


async def get_content(request: web.Request) -> web.StreamResponse:
    """The file at a path of the run."""
    asked = inputs.query(request, ("path",))
    run_id = inputs.run_id(request)
    path = asked.get("path", "")
    if not path:
        raise invalid("path", "nothing", "the path of a file of this run")

    async def pointer(snapshot: Snapshot) -> Mapping[str, Any]:
        await run_documents.require(snapshot, run_id)
        found = await artifacts.pointer(snapshot, run_id, path)
        if found is None:
            raise not_found("artifact", path)
        return found

    found = await read(request, pointer)
    root = request.app[CONFIGURATION].artifact_root
    file = await stored_files.open_below(root, found["uri"])
    try:
        return await artifact_content.send(request, file, found)
    finally:
        await file.close()


ROUTES: Final = (
    Route(
        "GET",
        "/api/v1/runs/{run_id}/artifacts",
        list_artifacts,
        "listArtifacts",
        "The files and folders in a folder of a run, folders first",
        schemas.record(
            run_id=schemas.TEXT, path=schemas.TEXT, artifacts=schemas.array(schemas.ref("Artifact"))
        ),
        parameters=(
            RUN_ID,
            in_query("path", "the folder; without it the run's root", schemas.TEXT),
            in_query("recursive", "every file below, and no folders", {"type": "boolean", "default": False}),
        ),
        problems=(400, 404),
    ),
    Route(
        "GET",
        "/api/v1/runs/{run_id}/artifacts/content",
        get_content,
        "getArtifact",
        "The content of a file, or one range of it",
        None,
        parameters=(RUN_ID, in_query("path", "the file", schemas.TEXT, required=True)),
        problems=(400, 403, 404, 410, 416),
    ),
)
