"""A route and its description in one place, so that the OpenAPI document cannot fall behind.

Every module of ``routes`` has ``ROUTES``; the application serves them and `runstone_query.openapi` describes
them, both from the same list.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

Schema = Mapping[str, Any]

_PATTERN: Final = re.compile(r"\{(\w+):[^}]*\}")


@dataclass(frozen=True, slots=True)
class Route:
    """One operation.

    Attributes:
        path: as aiohttp takes it. name: the operation's id. summary: one line.
        answer: the JSON schema of the answer, or null where it is a file.
        parameters: OpenAPI's parameter objects. body: the JSON schema of the request's body, or null.
        problems: the statuses it may answer besides 200 and those that every route may.
        reads: whether it reads the model, and so takes the parameters of `inputs.OF_EVERY_READ`.
    """

    method: str
    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    name: str
    summary: str
    answer: Schema | None
    parameters: Sequence[Mapping[str, Any]] = ()
    body: Schema | None = None
    problems: Sequence[int] = ()
    reads: bool = True

    @property
    def template(self) -> str:
        """The path as OpenAPI writes it, without patterns."""
        return _PATTERN.sub(r"{\1}", self.path)


def in_path(name: str, description: str, schema: Schema) -> Mapping[str, Any]:
    """A parameter that is part of the path."""
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def in_query(name: str, description: str, schema: Schema, *, required: bool = False) -> Mapping[str, Any]:
    """A query parameter."""
    return {"name": name, "in": "query", "required": required, "description": description, "schema": schema}
