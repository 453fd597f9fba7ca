"""Errors as MLflow's clients expect them: ``{"error_code": …, "message": …}`` and how MLflow classes them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import orjson
from aiohttp import web

from runstone.exceptions import InvalidInputError
from runstone_query.problems import Problem, bounded, headers, problem_of

INVALID: Final = "INVALID_PARAMETER_VALUE"
MISSING: Final = "RESOURCE_DOES_NOT_EXIST"
AWAY: Final = "TEMPORARILY_UNAVAILABLE"
INTERNAL: Final = "INTERNAL_ERROR"
NO_ENDPOINT: Final = "ENDPOINT_NOT_FOUND"

PREFIXES: Final = ("/api/2.0/mlflow/", "/ajax-api/2.0/mlflow/")
"""Every route is served below both; below the second for MLflow's own pages."""

_STATUS: Final[Mapping[str, int]] = {INVALID: 400, MISSING: 404, NO_ENDPOINT: 404, INTERNAL: 500, AWAY: 503}

_CLASS: Final[Mapping[str, tuple[str, str]]] = {
    INVALID: ("KAM00", "INVALID_PARAMETER_VALUE"),
    MISSING: ("KAM00", "RESOURCE_NOT_FOUND"),
    NO_ENDPOINT: ("KAM00", "RESOURCE_NOT_FOUND"),
    INTERNAL: ("XXM00", "CLIENT_INTERNAL_ERROR"),
    AWAY: ("XXM00", "CLIENT_INTERNAL_ERROR"),
}
"""What MLflow says besides of each code: an SQLSTATE and a class."""


class MlflowError(Exception):
    """An answer that is an error; *code* is one of the above, and the status follows from it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> MlflowError:
    """400: the caller's mistake."""
    return MlflowError(INVALID, message)


def missing(message: str) -> MlflowError:
    """404: what is named does not exist."""
    return MlflowError(MISSING, message)


def no_run(run_id: str) -> MlflowError:
    """404: there is no such run."""
    return missing(f"Run with id={run_id} not found")


def no_experiment(experiment_id: int) -> MlflowError:
    """404: there is no such experiment."""
    return missing(f"No Experiment with id={experiment_id} exists")


@web.middleware
async def middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer MLflow's kind of error for whatever a handler below `PREFIXES` raises."""
    if not request.path.startswith(PREFIXES):
        return await handler(request)
    try:
        return await handler(request)
    except MlflowError as error:
        return _response(_STATUS[error.code], error.code, error.message, {})
    except InvalidInputError as refused:  # by a rule of the event contract
        return _response(400, INVALID, str(refused), {})
    except Exception as wrong:  # the edge of the process: whatever it is becomes an answer
        problem = problem_of(request, wrong)
        return _response(problem.status, _code(problem), problem.detail, headers(problem))


def _code(problem: Problem) -> str:
    if problem.kind in {"no-such-route", "method-not-allowed"}:
        return NO_ENDPOINT
    return {404: MISSING, 500: INTERNAL, 503: AWAY}.get(problem.status, INVALID)


def _response(status: int, code: str, message: str, more: Mapping[str, str]) -> web.Response:
    sqlstate, error_class = _CLASS[code]
    found = {
        "error_code": code,
        "message": bounded(message),
        "sqlstate": sqlstate,
        "error_class": error_class,
    }
    body = orjson.dumps(found)
    return web.Response(status=status, body=body, content_type="application/json", headers=more)
