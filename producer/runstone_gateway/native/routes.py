"""All native writes, in one place."""

from typing import Final

from aiohttp import web

from runstone_gateway.mlflow.services import Services
from runstone_gateway.native import experiments, runs
from runstone_gateway.native.serving import NativeWrite, writing

ROUTES: Final[tuple[NativeWrite, ...]] = (*runs.ROUTES, *experiments.ROUTES)


def add_native_routes(app: web.Application, services: Services) -> None:
    """Add the routes; to be called before the catch-all of the read API."""
    for route in ROUTES:
        app.router.add_route(route.method, route.path, writing(services, route))
