"""Errors as RFC 9457 problem documents."""

import orjson
from aiohttp import web


def problem(status: int, title: str, detail: str, **members: str | int) -> web.Response:
    """A problem document: *title* names the kind of error, *detail* what was wrong and what to do."""
    body = {"type": "about:blank", "status": status, "title": title, "detail": detail, **members}
    response = web.Response(status=status, body=orjson.dumps(body), content_type="application/problem+json")
    if status == 503:
        response.headers["Retry-After"] = "1"
    return response
