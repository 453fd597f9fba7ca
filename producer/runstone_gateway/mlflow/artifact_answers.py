"""What every artifact route does around its own work: refusals and outages in MLflow's form."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
from aiohttp import web

from runstone.exceptions import ServerError
from runstone_gateway.mlflow.errors import AWAY, MlflowError, invalid, missing
from runstone_gateway.receiving import BrokenUploadError
from runstone_gateway.stores.store import MissingFileError, NameClashError, StoreAwayError

T = TypeVar("T")
Handler = Callable[[T, web.Request], Awaitable[web.StreamResponse]]


def answering(handler: Handler[T]) -> Handler[T]:
    """*handler*, whose exceptions become answers."""

    @functools.wraps(handler)
    async def answered(self: T, request: web.Request) -> web.StreamResponse:
        try:
            return await handler(self, request)
        except MlflowError as refused:
            return refused.response()
        except MissingFileError as gone:
            return missing(str(gone)).response()
        except (NameClashError, BrokenUploadError) as wrong:
            return invalid(str(wrong)).response()
        except StoreAwayError as away:
            return MlflowError(AWAY, f"{away}; send the request again", retry_after=2).response()
        except ServerError as away:
            return MlflowError(AWAY, str(away), retry_after=getattr(away, "retry_after", 1)).response()

    return answered


def json(answer: Any) -> web.Response:
    """*answer* as JSON."""
    return web.Response(body=orjson.dumps(answer), content_type="application/json")
