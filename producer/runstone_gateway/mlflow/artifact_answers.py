"""What every artifact route does around its own work: what the store refuses is told in MLflow's form."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
from aiohttp import web

from runstone_gateway.mlflow.errors import AWAY, MlflowError, invalid, missing
from runstone_gateway.mlflow.serving import in_mlflows_words
from runstone_gateway.receiving import BrokenUploadError
from runstone_gateway.stores.store import MissingFileError, NameClashError, StoreAwayError

T = TypeVar("T")
Handler = Callable[[T, web.Request], Awaitable[web.StreamResponse]]


def answering(handler: Handler[T]) -> Handler[T]:
    """*handler*, whose exceptions become answers."""

    @functools.wraps(handler)
    async def answered(self: T, request: web.Request) -> web.StreamResponse:
        async def serve(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(self, request)
            except MissingFileError as gone:
                raise missing(str(gone)) from gone
            except (NameClashError, BrokenUploadError) as wrong:
                raise invalid(str(wrong)) from wrong
            except StoreAwayError as away:
                raise MlflowError(AWAY, f"{away}; send the request again.", retry_after=2) from away

        return await in_mlflows_words(serve)(request)

    return answered


def json(answer: Any) -> web.Response:
    """*answer* as JSON."""
    return web.Response(body=orjson.dumps(answer), content_type="application/json")
