"""Refusals of native writes, as the problem documents that the read API has for the same mistakes."""

from aiohttp import web

from runstone_gateway.problems import problem


class RefusedError(Exception):
    """A request that is answered with a problem.

    Attributes:
        status: the HTTP status. kind: the last part of the document's ``type``.
        detail: what was wrong, what was expected, what to do. field: which part of the request, or "".
    """

    def __init__(self, status: int, kind: str, detail: str, field: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.field = field

    def response(self) -> web.Response:
        """The answer."""
        members: dict[str, str | int] = {"type": f"urn:runstone:problem:{self.kind}"}
        if self.field:
            members["field"] = self.field
        return problem(self.status, _TITLES.get(self.status, "Bad Request"), self.detail, **members)


_TITLES = {404: "Not Found", 409: "Conflict", 413: "Content Too Large", 415: "Unsupported Media Type"}


def invalid(field: str, detail: str, status: int = 400) -> RefusedError:
    """The caller's mistake in *field*."""
    return RefusedError(status, "invalid-input", f"{field}: {detail}", field)


def missing(what: str, name: object) -> RefusedError:
    """404: there is nothing of that id."""
    return RefusedError(404, "not-found", f"there is no {what} {name!r}; it may not have arrived yet")


def conflict(detail: str) -> RefusedError:
    """409: what is there does not allow it."""
    return RefusedError(409, "conflict", detail)
