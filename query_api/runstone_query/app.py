"""Wires the read API: routes, what they work with, and what starts and stops with the application.

Everything runs in one asyncio loop; long histories are assembled and files are read in threads. Nothing is
asked of Postgres or Kafka at the start, so the API comes up before them and says 503 until they are there.
On stop the socket closes first, requests in flight get two seconds, then the connections are closed.
"""

from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from runstone_query import problems
from runstone_query.configuration import BODY_MAX, Configuration
from runstone_query.end_offsets import EndOffsets
from runstone_query.mlflow import errors as mlflow_errors
from runstone_query.mlflow.endpoints import definitions
from runstone_query.mlflow.recent_histories import RecentHistories
from runstone_query.mlflow.routes import ENDPOINTS
from runstone_query.routes import artifacts, datasets, experiments, internal, metrics, runs, service
from runstone_query.routing import Route
from runstone_query.services import CONFIGURATION, END_OFFSETS, MODEL, RECENT_HISTORIES, ROUTES_SERVED
from runstone_query.snapshot import ReadModel

ROUTES: Final[tuple[Route, ...]] = (
    *service.ROUTES,
    *experiments.ROUTES,
    *runs.ROUTES,
    *metrics.ROUTES,
    *artifacts.ROUTES,
    *datasets.ROUTES,
)


def application(configuration: Configuration) -> web.Application:
    """The read API as an aiohttp application."""
    app = web.Application(
        middlewares=[problems.middleware, mlflow_errors.middleware], client_max_size=BODY_MAX
    )
    app[CONFIGURATION] = configuration
    app[MODEL] = ReadModel(configuration.dsn)
    app[END_OFFSETS] = EndOffsets(configuration.bootstrap_servers)
    app[RECENT_HISTORIES] = RecentHistories()
    app[ROUTES_SERVED] = ROUTES
    for route in ROUTES:
        if route.method == "GET":
            app.router.add_get(route.path, route.handler)
        else:
            app.router.add_route(route.method, route.path, route.handler)
    app.router.add_routes(internal.ROUTES)
    app.router.add_routes(definitions(ENDPOINTS))
    app.on_response_prepare.append(problems.identify)

    async def connections(_app: web.Application) -> AsyncIterator[None]:
        yield
        await app[END_OFFSETS].close()
        await app[MODEL].close()

    app.cleanup_ctx.append(connections)
    return app
