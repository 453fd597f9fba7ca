"""The OpenAPI 3.1 document, made from the routes that are served."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from runstone._version import __version__
from runstone_query.problems import MEDIA_TYPE
from runstone_query.routing import Route, in_query
from runstone_query.schemas import COMPONENTS, ref

_EVERYWHERE: Final = (500, 503)
"""Statuses that any route may answer: a fault of the server, a database that is away."""


_OF_EVERY_READ: Final = (
    in_query(
        "consistent",
        "true: the answer has seen everything that Kafka holds at this moment; 503 where it cannot in time",
        {"type": "boolean", "default": False},
    ),
    in_query(
        "min_offset",
        "PARTITION:NEXT_OFFSET, several joined by commas: the answer has seen the records before them in the "
        "events topic; 503 where it cannot in time",
        {"type": "string", "pattern": "^[0-9]+:[0-9]+(,[0-9]+:[0-9]+)*$"},
    ),
    in_query(
        "generation",
        "the generation of the read model to ask ('runstone replay status' lists them), such as one that was "
        "built until a time; without it the live one. 404 where there is none of that name",
        {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,62}$"},
    ),
)


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The document that describes *routes*."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Runstone read API",
            "version": __version__,
            "description": "Runs, their metrics and artifacts, read from the read model. Errors are problem "
            "documents (RFC 9457). NaN and infinities are the texts NaN, Infinity and -Infinity.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": COMPONENTS},
    }


def _operation(route: Route) -> dict[str, Any]:
    content = (
        {"application/octet-stream": {"schema": {}}}
        if route.answer is None
        else {"application/json": {"schema": route.answer}}
    )
    responses: dict[str, Any] = {"200": {"description": "the answer", "content": content}}
    if 416 in route.problems:
        responses["206"] = {"description": "the range that was asked for", "content": content}
    for status in sorted({*route.problems, *_EVERYWHERE}):
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": ref("Problem")}},
        }
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [*route.parameters, *(_OF_EVERY_READ if route.reads else ())],
        "responses": responses,
    }
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": route.body}},
        }
    return operation
