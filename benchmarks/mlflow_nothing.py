"""An MLflow server that does nothing: it answers at once, and keeps only the files that it is sent.

A program of its own: ``python mlflow_nothing.py PORT``. The answers have the shapes that the client expects
and say nothing that is true.
"""

import sys

from aiohttp import web

RUN = "0" * 32
MODEL = f"m-{RUN}"
EXPERIMENT = {
    "experiment_id": "0", "name": "Default", "artifact_location": "mlflow-artifacts:/0",
    "lifecycle_stage": "active",
}  # fmt: skip
FILES = "/api/2.0/mlflow-artifacts/artifacts"


def run() -> dict[str, object]:
    """A run, as far as a client looks."""
    info = {
        "run_id": RUN, "run_uuid": RUN, "run_name": "nothing", "experiment_id": "0", "status": "RUNNING",
        "start_time": 0, "lifecycle_stage": "active", "artifact_uri": f"mlflow-artifacts:/0/{RUN}/artifacts",
    }  # fmt: skip
    return {"run": {"info": info, "data": {}, "inputs": {}, "outputs": {}}, "run_info": info}


def model() -> dict[str, object]:
    """A logged model, as far as a client looks."""
    info = {
        "model_id": MODEL, "experiment_id": "0", "name": "model", "status": "LOGGED_MODEL_READY",
        "artifact_uri": f"mlflow-artifacts:/0/models/{MODEL}/artifacts", "source_run_id": RUN,
        "creation_timestamp_ms": 0, "last_updated_timestamp_ms": 0,
    }  # fmt: skip
    return {"model": {"info": info, "data": {}}, "models": [{"info": info, "data": {}}]}


async def answer(request: web.Request) -> web.Response:
    """Whatever the client needs to go on."""
    await request.read()
    path = request.path.partition("/mlflow/")[2]
    if path.startswith("experiments/"):
        return web.json_response({"experiment": EXPERIMENT, "experiment_id": "0"})
    if path in {"runs/create", "runs/get", "runs/update"}:
        return web.json_response(run())
    if path.startswith("logged-models"):
        return web.json_response(model())
    return web.json_response({})


class Files:
    """The proxy's files, in memory."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    async def put(self, request: web.Request) -> web.Response:
        """Keep the body."""
        self._kept[request.match_info["path"]] = await request.read()
        return web.json_response({})

    async def get(self, request: web.Request) -> web.Response:
        """The body of that path."""
        if (found := self._kept.get(request.match_info["path"])) is None:
            return web.json_response({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": ""}, status=404)
        return web.Response(body=found)

    async def listing(self, request: web.Request) -> web.Response:
        """Files and folders directly below ``path``."""
        prefix = request.query.get("path", "").rstrip("/") + "/"
        below = [name.removeprefix(prefix) for name in self._kept if name.startswith(prefix)]
        found = {name.partition("/")[0]: "/" in name for name in below}
        files = [{"path": name, "is_dir": is_dir, "file_size": 0} for name, is_dir in found.items()]
        return web.json_response({"files": files})


def main() -> None:
    files = Files()
    app = web.Application(client_max_size=1 << 33)
    app.router.add_get("/health", answer)
    app.router.add_get(FILES, files.listing)
    app.router.add_put(FILES + "/{path:.+}", files.put)
    app.router.add_get(FILES + "/{path:.+}", files.get)
    app.router.add_route("*", "/{path:.*}", answer)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)


if __name__ == "__main__":
    main()
