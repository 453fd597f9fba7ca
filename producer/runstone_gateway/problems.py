"""Errors as RFC 9457 problem documents, and the one line that the log has of every request that failed."""

import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import unquote_to_bytes

import orjson
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOG: Final = logging.getLogger("runstone.gateway")

SAID_MOST: Final = 700
"""Bytes of an answer, or of a path, that are logged."""

SENTENCE_MOST: Final = 2000
"""Characters of what a refusal says; requests have 64 MB."""


def bounded(sentence: str) -> str:
    """*sentence*, without its middle where it repeats more of a request than anybody reads."""
    if len(sentence) <= SENTENCE_MOST:
        return sentence
    return f"{sentence[:1200]}…{sentence[-600:]}"


def problem(status: int, title: str, detail: str, **members: str | int) -> web.Response:
    """A problem document: *title* names the kind of error, *detail* what was wrong and what to do."""
    body = {"type": "about:blank", "status": status, "title": title, "detail": bounded(detail), **members}
    response = web.Response(status=status, body=orjson.dumps(body), content_type="application/problem+json")
    if status == 503:
        response.headers["Retry-After"] = "1"
    return response


@web.middleware
async def answer_failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Log what is refused, by whichever route or by the read API."""
    response = await _answer(request, handler)
    if response.status >= 400:
        said = response.body if isinstance(response, web.Response) else None
        LOG.info(
            "%s %s is answered with %d: %s",
            request.method, request.rel_url.raw_path[:SAID_MOST], response.status,
            said[:SAID_MOST] if isinstance(said, bytes) else "as the read API said",
        )  # fmt: skip
    return response


def _is_text(address: str) -> bool:
    try:
        unquote_to_bytes(address).decode()
    except UnicodeDecodeError:
        return False
    return True


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what no route expected into a problem with an id; the trace goes to the log alone."""
    if not _is_text(request.raw_path):
        wrong = "the address is not UTF-8, percent-encoded; two names would become one"
        return problem(400, "Bad Request", wrong, error_code="INVALID_PARAMETER_VALUE", message=wrong)
    try:
        return await handler(request)
    except web.HTTPException as refused:
        return problem(refused.status, refused.reason, refused.text or refused.reason)
    except web.RequestPayloadError as broken:
        return problem(400, "Bad Request", f"{broken}; nothing was done")
    except (ConnectionError, TimeoutError):
        raise  # the caller hung up; there is nobody to answer
    except Exception:  # whatever it is, one request fails and the gateway goes on
        found = uuid.uuid4().hex
        LOG.exception("request %s: %s %s failed", found, request.method, request.path)
        return problem(500, "The gateway failed", f"its log tells more under the id {found}", id=found)
