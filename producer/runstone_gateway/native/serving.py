"""Runs a native write from its body to its answer, and turns what fails on the way into a problem."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

import orjson
from aiohttp import web

from runstone.events.limits import MIB
from runstone.exceptions import InvalidInputError, ServerError
from runstone.sender.publisher import RecordRefused
from runstone_gateway.ledger import Needs
from runstone_gateway.mlflow.errors import MlflowError
from runstone_gateway.mlflow.services import Services
from runstone_gateway.native.refusals import RefusedError, invalid
from runstone_gateway.problems import Handler, problem
from runstone_gateway.unavailable import ReadApiAwayError, UnavailableError

BODY_MOST: Final = MIB
"""Bytes of a body."""

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a write.

    Attributes:
        changed: whether there was anything to write.
        kind: "run" or "experiment". path: where the read API tells it. needs: what it must have seen.
        said: what the answer says besides.
    """

    changed: bool
    kind: str
    path: str
    needs: Needs
    said: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NativeWrite:
    """A route.

    Attributes:
        path: as aiohttp takes it. fields: the members that its JSON body may have; None: it has no body.
        handle: checks, appends and waits for the acknowledgement or verdict. Raises `RefusedError`.
    """

    method: str
    path: str
    handle: Callable[[Services, Mapping[str, str], Body], Awaitable[Outcome]]
    fields: tuple[str, ...] | None


def writing(services: Services, route: NativeWrite) -> Handler:
    """The handler of *route*: 200 with what there is afterwards, 202 where that cannot be read in time."""

    async def serve(request: web.Request) -> web.StreamResponse:
        if request.query:
            raise invalid(next(iter(request.query)), "a write takes no query parameters")
        body = {} if route.fields is None else await _body(request, route.fields)
        await services.ledger.ready()
        outcome = await route.handle(services, request.match_info, body)
        found: Mapping[str, Any] | None
        try:
            found = await services.read_api.get(outcome.path, outcome.needs)
        except ReadApiAwayError:
            found = None
        told = {"changed": outcome.changed, "applied": found is not None, **outcome.said, outcome.kind: found}
        return web.Response(
            status=202 if found is None else 200, body=orjson.dumps(told), content_type="application/json"
        )

    return _as_problems(serve)


async def _body(request: web.Request, fields: tuple[str, ...]) -> Body:
    if request.content_type != "application/json":
        raise invalid("Content-Type", "expected application/json", 415)
    raw = bytearray()
    async for part, _ in request.content.iter_chunks():
        raw += part
        if len(raw) > BODY_MOST:
            raise invalid("body", f"expected at most {BODY_MOST} bytes", 413)
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError as wrong:
        raise invalid("body", f"no JSON ({wrong}); expected a JSON object") from None
    if type(found) is not dict:
        raise invalid("body", "expected a JSON object")
    for name in found:
        if name not in fields:
            accepted = f"only {', '.join(fields)}" if fields else "an empty object"
            raise invalid("body", f"found the member {name[:100]!r}, expected {accepted}")
    return found


def _as_problems(serve: Handler) -> Handler:
    @wraps(serve)
    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            return await serve(request)
        except RefusedError as refused:
            return refused.response()
        except MlflowError as refused:  # by a part that MLflow's surface is served by as well
            return problem(refused.status, "Refused", refused.message)
        except InvalidInputError as refused:  # by a rule of the event contract
            return RefusedError(400, "invalid-input", str(refused)).response()
        except RecordRefused as refused:
            return problem(500, "Nothing was recorded", f"{refused}")
        except ServerError as away:
            answer = problem(503, "Try again in a moment", f"{away}")
            if isinstance(away, UnavailableError):
                answer.headers["Retry-After"] = str(away.retry_after)
            return answer

    return handler
