"""Errors as MLflow's clients expect them: ``{"error_code": …, "message": …}`` and how MLflow classes them."""

from collections.abc import Mapping
from typing import Final

import orjson
from aiohttp import web

from runstone_gateway.problems import bounded

INVALID: Final = "INVALID_PARAMETER_VALUE"
EXISTS: Final = "RESOURCE_ALREADY_EXISTS"
MISSING: Final = "RESOURCE_DOES_NOT_EXIST"
BAD_REQUEST: Final = "BAD_REQUEST"
INVALID_STATE: Final = "INVALID_STATE"
INTERNAL: Final = "INTERNAL_ERROR"
AWAY: Final = "TEMPORARILY_UNAVAILABLE"
NOT_IMPLEMENTED: Final = "NOT_IMPLEMENTED"
NO_ENDPOINT: Final = "ENDPOINT_NOT_FOUND"

_STATUS: Final[Mapping[str, int]] = {
    INVALID: 400,
    EXISTS: 400,
    BAD_REQUEST: 400,
    MISSING: 404,
    NO_ENDPOINT: 404,
    INVALID_STATE: 500,
    INTERNAL: 500,
    NOT_IMPLEMENTED: 501,
    AWAY: 503,
}

_CLASS: Final[Mapping[str, tuple[str, str]]] = {
    INVALID: ("KAM00", "INVALID_PARAMETER_VALUE"),
    EXISTS: ("KAM00", "RESOURCE_ALREADY_EXISTS"),
    BAD_REQUEST: ("KAM00", "INVALID_PARAMETER_VALUE"),
    MISSING: ("KAM00", "RESOURCE_NOT_FOUND"),
    NO_ENDPOINT: ("KAM00", "RESOURCE_NOT_FOUND"),
    INVALID_STATE: ("XXM00", "CLIENT_INTERNAL_ERROR"),
    INTERNAL: ("XXM00", "CLIENT_INTERNAL_ERROR"),
    AWAY: ("XXM00", "CLIENT_INTERNAL_ERROR"),
}
"""What MLflow says besides of some codes: an SQLSTATE and a class."""


class MlflowError(Exception):
    """An answer that is an error; the status follows from the code unless one is given."""

    def __init__(self, code: str, message: str, *, status: int = 0, retry_after: int = 1) -> None:
        super().__init__(message)
        self.code = code
        self.message = bounded(message)
        self.status = status or _STATUS[code]
        self.retry_after = retry_after

    def response(self) -> web.Response:
        """The answer; a 503 says when to come again."""
        found = {"error_code": self.code, "message": self.message}
        if self.code in _CLASS:
            found["sqlstate"], found["error_class"] = _CLASS[self.code]
        body = orjson.dumps(found)
        response = web.Response(status=self.status, body=body, content_type="application/json")
        if self.status == 503:
            response.headers["Retry-After"] = str(self.retry_after)
        return response


def invalid(message: str) -> MlflowError:
    """400: the caller's mistake."""
    return MlflowError(INVALID, message)


def missing(message: str) -> MlflowError:
    """404: what is named does not exist."""
    return MlflowError(MISSING, message)
