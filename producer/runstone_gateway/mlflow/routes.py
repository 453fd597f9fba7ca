"""All of MLflow's surface that this gateway serves, in one place; see the package."""

from typing import Final

import orjson
from aiohttp import web

from runstone_gateway.mlflow import (
    batches,
    experiments,
    inputs,
    logged_models,
    metrics,
    model_versions,
    out_of_scope,
    params,
    reads,
    registered_models,
    runs,
    tags,
)
from runstone_gateway.mlflow.errors import BAD_REQUEST, NO_ENDPOINT, MlflowError
from runstone_gateway.mlflow.routing import Read, Write
from runstone_gateway.mlflow.services import Services
from runstone_gateway.mlflow.serving import reading, writing
from runstone_gateway.problems import Handler

PREFIXES: Final = ("/api/2.0/mlflow", "/ajax-api/2.0/mlflow")

MLFLOW_VERSION: Final = "3.17.2"
"""The version whose surface this is. Clients compare it, and log no spans to what is older than theirs."""

WRITES: Final[tuple[Write, ...]] = (
    *experiments.ROUTES,
    *runs.ROUTES,
    *metrics.ROUTES,
    *params.ROUTES,
    *tags.ROUTES,
    *batches.ROUTES,
    *inputs.ROUTES,
    *logged_models.ROUTES,
    *registered_models.ROUTES,
    *model_versions.ROUTES,
)
READS: Final[tuple[Read, ...]] = (*reads.ROUTES,)


def add_routes(app: web.Application, services: Services) -> None:
    """Add the routes; to be called before the catch-all of the read API."""
    add = app.router.add_route
    for prefix in PREFIXES:
        for write in WRITES:
            add(write.method, prefix + write.path, writing(services, write))
        for read in READS:
            add(read.method, prefix + read.path, reading(services, read))
        for path in dict.fromkeys([write.path for write in WRITES] + [read.path for read in READS]):
            add("*", prefix + path, _wrong_method)
    for start in ("/api", "/ajax-api"):
        add("GET", start + "/3.0/mlflow/server-info", _server_info)
        for version in ("2.0", "3.0"):
            for area, sentence in out_of_scope.AREAS:
                path = f"{start}/{version}/mlflow/{area}"
                add("*", path, _refuse(sentence))
                add("*", path + "/{rest:.*}", _refuse(sentence))
            add("*", f"{start}/{version}/mlflow/{{rest:.*}}", _unknown)
            add("*", f"{start}/{version}/mlflow-artifacts/{{rest:.*}}", _unknown)
    add("*", "/graphql", _refuse(out_of_scope.GRAPHQL))
    add("*", "/ajax-api/graphql", _refuse(out_of_scope.GRAPHQL))
    add("GET", "/version", _version)


async def _version(_request: web.Request) -> web.Response:
    return web.Response(text=MLFLOW_VERSION)


async def _server_info(_request: web.Request) -> web.Response:
    """What this server can do; the client asks before it transfers large files.

    Files go through this address by themselves: a client may not reach the store. Whoever knows that it can
    asks for parts and signed addresses, which are there all the same.
    """
    found = {
        "store_type": None,
        "workspaces_enabled": False,
        "trace_archival_enabled": False,
        "multipart_uploads_enabled": False,
        "multipart_downloads_enabled": False,
        "presigned_upload_run_id_supported": True,
        "presigned_upload_model_id_supported": True,
        "features_enabled": {"gateway": False},
    }
    return web.Response(body=orjson.dumps(found), content_type="application/json")


def _refuse(sentence: str) -> Handler:
    async def refuse(_request: web.Request) -> web.Response:
        return out_of_scope.refusing(sentence)

    return refuse


async def _wrong_method(request: web.Request) -> web.Response:
    return MlflowError(BAD_REQUEST, f"{request.path} does not take {request.method}.", status=405).response()


async def _unknown(request: web.Request) -> web.Response:
    return MlflowError(NO_ENDPOINT, f"There is no {request.method} {request.path} here.").response()
