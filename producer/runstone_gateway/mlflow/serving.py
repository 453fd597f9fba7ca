"""Runs an MLflow request from its body to its answer.

A write: read the body, find out whether it retries one whose answer was lost, decode, let the route's
handler check and append, then conclude (wait for Kafka, or for the catalog's verdict). A read: wait for
what this gateway wrote to be acknowledged, then pass it on with the offsets that the answer must have seen.
"""

import logging
import uuid
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final

import aiohttp
import orjson
from aiohttp import web

from runstone.exceptions import InvalidInputError, ServerError
from runstone.sender.publisher import RecordRefused
from runstone_gateway.facts import AT_LEAST
from runstone_gateway.mlflow.decoding import decode, parse
from runstone_gateway.mlflow.errors import AWAY, BAD_REQUEST, INTERNAL, INVALID, MlflowError
from runstone_gateway.mlflow.routing import Call, Read, Write
from runstone_gateway.mlflow.services import Services
from runstone_gateway.problems import Handler
from runstone_gateway.unavailable import ReadApiAwayError, UnavailableError

LOG: Final = logging.getLogger("runstone.gateway.mlflow")


def answer(found: Mapping[str, Any]) -> web.Response:
    """A JSON object as MLflow's clients read it."""
    return web.Response(body=orjson.dumps(found), content_type="application/json")


def writing(services: Services, route: Write) -> Handler:
    """The handler of a route that writes."""

    async def serve(request: web.Request) -> web.StreamResponse:
        await services.ledger.ready()
        async with services.bodies.of(request) as body:
            return await conclude(request, body)

    async def conclude(request: web.Request, body: bytes) -> web.StreamResponse:
        gone = _gone(request)
        attempt = services.undelivered.begin(request.method, request.path, body, gone)
        delivered = False
        try:
            async with attempt.checking:
                if attempt.conclusion is None:
                    fields = decode(route.message, parse(body), route.required, route.check)
                    attempt.conclusion = await route.handle(services, Call(fields, request.match_info, body))
            found = answer(await attempt.conclusion())
            delivered = not gone()
        except MlflowError as refused:
            delivered = refused.status != 503 and not gone()
            raise
        else:
            return found
        finally:
            keeps = len(body) if route.echoes else 0
            services.undelivered.end(attempt, gone, delivered=delivered, keeps=keeps)

    return in_mlflows_words(serve)


def reading(services: Services, route: Read) -> Handler:
    """The handler of a route that the read API answers."""

    async def serve(request: web.Request) -> web.StreamResponse:
        await services.ledger.ready()
        needs = await route.needs(services, request)
        try:
            return await services.forwarding.pass_on(request, {AT_LEAST: orjson.dumps(needs).decode()})
        except (TimeoutError, aiohttp.ClientConnectionError) as away:
            raise ReadApiAwayError(
                f"the read API does not answer ({type(away).__name__})", services.forwarding.outage.goes_on()
            ) from away

    return in_mlflows_words(serve)


def in_mlflows_words(serve: Handler) -> Handler:
    @wraps(serve)
    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            return await serve(request)
        except MlflowError as refused:
            wrong = refused
        except InvalidInputError as refused:  # by a rule of the event contract
            wrong = MlflowError(INVALID, str(refused))
        except UnavailableError as away:
            wrong = MlflowError(AWAY, f"Try again in a moment: {away}.", retry_after=away.retry_after)
        except ServerError as away:
            wrong = MlflowError(AWAY, f"Try again in a moment: {away}.")
        except RecordRefused as refused:
            wrong = MlflowError(INTERNAL, f"Nothing was recorded: {refused}.")
        except web.RequestPayloadError as broken:
            wrong = MlflowError(BAD_REQUEST, f"Bad Request: {broken}.")
        except (ConnectionError, TimeoutError, web.HTTPException):
            raise  # the caller hung up
        except Exception:  # whatever it is, one request fails and the gateway goes on
            found = uuid.uuid4().hex
            LOG.exception("request %s: %s %s failed", found, request.method, request.path)
            return MlflowError(INTERNAL, f"The gateway failed; its log tells more under {found}.").response()
        return wrong.response()

    return handler


def _gone(request: web.Request) -> Callable[[], bool]:
    def gone() -> bool:
        return request.transport is None or request.transport.is_closing()

    return gone
