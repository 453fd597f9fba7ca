"""Wires the gateway: which route is answered by what, and what starts and stops with the application.

Everything runs in one asyncio loop; file writes of uploads run in threads. On stop the listening socket
closes first, what waits for Kafka's acknowledgement gets a second, other requests in flight a few, then the
pool to the read API and the connections to Kafka are closed.
"""

import time
from collections.abc import AsyncIterator

from aiohttp import web

from runstone._version import __version__
from runstone_gateway.artifacts import Artifacts
from runstone_gateway.configuration import Configuration
from runstone_gateway.connect import Connect
from runstone_gateway.envelopes import Envelopes
from runstone_gateway.facts import ReadApi
from runstone_gateway.forwarding import Forwarding
from runstone_gateway.heard import Heard
from runstone_gateway.installation import Installation
from runstone_gateway.large_fields import LargeFields
from runstone_gateway.ledger import Ledger
from runstone_gateway.mlflow.artifact_routes import add_artifact_routes
from runstone_gateway.mlflow.bodies import Bodies
from runstone_gateway.mlflow.routes import add_routes
from runstone_gateway.mlflow.services import Services
from runstone_gateway.native.routes import add_native_routes
from runstone_gateway.problems import answer_failures
from runstone_gateway.readiness import Readiness
from runstone_gateway.run_ids import RunIds
from runstone_gateway.stores import open_store
from runstone_gateway.stores.leftovers import Leftovers
from runstone_gateway.undelivered import Undelivered
from runstone_gateway.verdicts import Verdicts
from runstone_gateway.welcome import welcome
from runstone_gateway.writes import Writes


def application(configuration: Configuration) -> web.Application:
    """The gateway as an aiohttp application."""
    forwarding = Forwarding(configuration.api_url)
    store = open_store(configuration.artifact_root)
    installation = Installation(store, forwarding)
    leftovers = Leftovers(configuration.artifact_root)
    envelopes = Envelopes(configuration.bootstrap_servers, installation)
    heard = Heard(configuration.bootstrap_servers, installation)
    readiness = Readiness(configuration, installation, forwarding)
    ledger = Ledger(configuration, installation)
    read_api = ReadApi(forwarding)
    services = Services(
        configuration,
        forwarding,
        read_api,
        ledger,
        Writes(ledger, read_api),
        Verdicts(ledger, read_api),
        Undelivered(time.monotonic),
        RunIds(configuration.address),
        LargeFields(store),
        Bodies(),
    )
    app = web.Application(client_max_size=0, middlewares=[answer_failures])
    app.router.add_get("/", welcome)
    app.router.add_get("/health", readiness.health)
    app.router.add_get("/ready", readiness.ready)
    app.router.add_get("/api/v1/connect", Connect(configuration, installation).get)
    artifacts = Artifacts(store)
    app.router.add_get("/api/v1/artifacts", artifacts.get, allow_head=False)
    app.router.add_put("/api/v1/artifacts", artifacts.put)
    app.router.add_post("/api/v1/envelopes", envelopes.post)
    app.router.add_post("/api/v1/heard", heard.post)
    add_artifact_routes(app.router, store, services)
    add_routes(app, services)
    add_native_routes(app, services)
    app.router.add_route("*", "/{path:.*}", forwarding.forward)
    app.on_response_prepare.append(_name_the_server)

    async def connections(_app: web.Application) -> AsyncIterator[None]:
        await forwarding.start()
        await ledger.start()
        await envelopes.start()
        await heard.start()
        await leftovers.start()
        yield
        await leftovers.stop()
        await heard.stop()
        await envelopes.stop()
        await readiness.stop()
        await forwarding.stop()
        await store.close()

    async def leave_kafka(_app: web.Application) -> None:
        await ledger.stop()  # before requests in flight are waited for, so that none waits for Kafka

    app.on_shutdown.append(leave_kafka)
    app.cleanup_ctx.append(connections)
    return app


async def _name_the_server(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = f"runstone/{__version__}"
