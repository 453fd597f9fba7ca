"""How an endpoint of MLflow is served: below which prefixes, by which method, by whom."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from runstone_query.mlflow.errors import PREFIXES

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Attributes:
    path: below the prefix. ajax_only: MLflow serves it to its own pages alone.
    """

    method: str
    path: str
    handler: Handler
    ajax_only: bool = False


def definitions(endpoints: Iterable[Endpoint]) -> list[web.RouteDef]:
    """The routes of *endpoints* for aiohttp's router."""
    return [
        web.route(endpoint.method, prefix + endpoint.path, endpoint.handler)
        for endpoint in endpoints
        for prefix in (PREFIXES[1:] if endpoint.ajax_only else PREFIXES)
    ]


def answer(found: Any) -> web.Response:
    """*found* as JSON."""
    return web.Response(body=orjson.dumps(found), content_type="application/json")
