"""Errors as RFC 9457 problem documents.

Handlers raise a `Problem`; the middleware answers it. Whatever else escapes a handler is logged under an id
and answered by a problem that carries nothing but that id: no stack trace ever leaves the process.
"""

import json
import logging
import uuid
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import asyncpg
import orjson
from aiohttp import web

from runstone._version import __version__

_log: Final = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"

SERVER: Final = f"runstone/{__version__}"

RETRY_AFTER_S: Final = 1

SENTENCE_MOST: Final = 2000
"""Characters of what a refusal says; what was asked for may be far longer."""

_AWAY: Final = (
    ConnectionError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleSessionTimeoutError,
)
"""What a database looks like that goes away while it is read."""


class Problem(Exception):
    """An answer other than the one asked for.

    Attributes:
        status: the HTTP status.
        kind: the last part of the document's ``type``, stable, for programs.
        detail: one sentence: what was wrong, what was expected, what to do.
        field: the part of the request it is about. found: what stands there. accepted: what may.
        retry_after: seconds after which to ask again; told where the status is 503.
        allowed: the methods that the path answers. incident: by which the log tells more.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        field: str | None = None,
        found: object = None,
        accepted: str | None = None,
        retry_after: int = RETRY_AFTER_S,
        allowed: str | None = None,
        incident: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.field = field
        self.found = found
        self.accepted = accepted
        self.retry_after = retry_after
        self.allowed = allowed
        self.incident = incident


def bounded(sentence: str) -> str:
    """*sentence*, without its middle where it repeats more of a request than anybody reads."""
    if len(sentence) <= SENTENCE_MOST:
        return sentence
    return f"{sentence[:1200]}…{sentence[-600:]}"


def invalid(field: str, found: object, accepted: str, status: int = 400) -> Problem:
    """The problem of an input: *field* holds *found* where only *accepted* is."""
    shown = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
    if len(shown) > 200:
        shown = shown[:199] + "…"
    # half a surrogate pair, as a percent-encoded byte can leave one, is no JSON
    shown = shown.encode(errors="backslashreplace").decode()
    return Problem(
        status,
        "invalid-input",
        f"{field}: found {shown}, expected {accepted}",
        field=field,
        found=shown,
        accepted=accepted,
    )


def not_found(what: str, name: str) -> Problem:
    """The problem of an id that nothing has."""
    shown = name.encode(errors="backslashreplace").decode()
    return Problem(404, "not-found", f"there is no {what} {shown!r}; it may not have arrived yet")


def read_model_away(why: BaseException) -> Problem:
    """The problem of a database that does not answer; the log says why."""
    _log.warning("the read model cannot be read: %s: %s", type(why).__name__, why)
    return Problem(503, "read-model-away", "the read model cannot be reached at the moment; ask again")


def response(problem: Problem) -> web.Response:
    """The document of *problem*."""
    found = bounded(problem.found) if isinstance(problem.found, str) else problem.found
    document: dict[str, object] = {
        "type": f"urn:runstone:problem:{problem.kind}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": bounded(problem.detail),
    }
    if problem.field is not None:
        document |= {"field": problem.field, "found": found, "accepted": problem.accepted}
    if problem.incident is not None:
        document["incident"] = problem.incident
    return web.Response(
        status=problem.status, body=orjson.dumps(document), content_type=MEDIA_TYPE, headers=headers(problem)
    )


def headers(problem: Problem) -> dict[str, str]:
    """What an answer's header says of *problem*: when to ask again, by which methods."""
    found = {}
    if problem.status == 503:
        found["Retry-After"] = str(problem.retry_after)
    if problem.allowed is not None:
        found["Allow"] = problem.allowed
    return found


@web.middleware
async def middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer a problem for whatever a handler raises."""
    try:
        return await handler(request)
    except Exception as wrong:  # the edge of the process: whatever it is becomes an answer
        return response(problem_of(request, wrong))


def problem_of(request: web.Request, wrong: Exception) -> Problem:
    """The problem that a handler's exception is to the caller; one that nobody expected is logged."""
    if isinstance(wrong, Problem):
        return wrong
    if isinstance(wrong, web.HTTPException):
        return _refusal(request, wrong)
    if isinstance(wrong, asyncpg.QueryCanceledError):
        return Problem(
            503, "too-slow", "the read model took too long to answer; ask for less, or again later"
        )
    if isinstance(wrong, _AWAY):
        return read_model_away(wrong)
    incident = uuid.uuid4().hex
    _log.error("incident %s: %s %s", incident, request.method, request.rel_url.raw_path, exc_info=wrong)
    return Problem(
        500,
        "internal",
        f"this is a fault of the server; its log tells more under {incident}",
        incident=incident,
    )


def _refusal(request: web.Request, refused: web.HTTPException) -> Problem:
    path = request.rel_url.raw_path
    if refused.status == 404:
        return Problem(
            404, "no-such-route", f"nothing is served at {path}; see /api/v1/openapi.json for what is"
        )
    if isinstance(refused, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(refused.allowed_methods))
        return Problem(
            405,
            "method-not-allowed",
            f"{path} answers {allowed}, not {request.method}",
            allowed=refused.headers.get("Allow"),
        )
    return Problem(refused.status, "refused", refused.text or refused.reason)


async def identify(_request: web.Request, answer: web.StreamResponse) -> None:
    """Every answer says who gives it: by this a client tells a Runstone from a stranger."""
    answer.headers["Server"] = SERVER
