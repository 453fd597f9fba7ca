"""How the service is: alive, ready, whose, how far ingest is, and what it serves."""

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from runstone_query import ingest, inputs, schemas
from runstone_query.end_offsets import Place
from runstone_query.openapi import document
from runstone_query.problems import Problem
from runstone_query.reading import read
from runstone_query.routing import Route
from runstone_query.services import CONFIGURATION, END_OFFSETS, MODEL, ROUTES_SERVED, json
from runstone_query.snapshot import Snapshot


async def health(_request: web.Request) -> web.Response:
    """The process lives; nothing is asked of anybody else."""
    return json({"status": "alive"})


async def ready(request: web.Request) -> web.Response:
    """A read can be answered; otherwise 503 with the reason.

    What the workers find wrong with the ledger makes no read fail, so it is said and changes nothing else.
    """
    alarms = await request.app[MODEL].read(ingest.read_alarms)
    return json({"status": "ready", "alarms": alarms.words()})


async def get_installation(request: web.Request) -> web.Response:
    """Whose read model this is, from the catalog's first record."""
    inputs.query(request, ())
    found = await read(request, ingest.read_installation)
    if found is None:
        raise Problem(
            503,
            "no-installation",
            "the read model does not know its installation yet: 'runstone topic create' announces it and a "
            "worker carries it here",
        )
    configuration = request.app[CONFIGURATION]
    return json(
        {
            "installation_id": found["installation_id"],
            "partitions": found["partitions"],
            "topics": configuration.topics,
            "artifact_root": configuration.artifact_root_uri,
        }
    )


async def get_ingest(request: web.Request) -> web.Response:
    """How far each partition has been applied."""
    inputs.query(request, ())
    topics = request.app[CONFIGURATION].topics
    # the read model first: what it has applied by then is never beyond an end that is asked for afterwards
    rows, alarms = await read(request, lambda snapshot: _ingest(snapshot, topics))
    return json(ingest.report(rows, await request.app[END_OFFSETS].get(rows), alarms))


async def _ingest(
    snapshot: Snapshot, topics: Mapping[str, str]
) -> tuple[Mapping[Place, ingest.Row], ingest.Alarms]:
    return await ingest.read_partitions(snapshot, topics), await ingest.read_alarms(snapshot)


async def get_openapi(request: web.Request) -> web.Response:
    """The OpenAPI document of what is served."""
    routes = request.app[ROUTES_SERVED]
    return json(document(routes))


ROUTES: Final = (
    Route("GET", "/health", health, "health", "The process lives", schemas.ref("Status"), reads=False),
    Route("GET", "/ready", ready, "ready", "A read can be answered", schemas.ref("Readiness"), reads=False),
    Route(
        "GET",
        "/api/v1/installation",
        get_installation,
        "getInstallation",
        "Whose read model this is",
        schemas.ref("Installation"),
        problems=(400,),
    ),
    Route(
        "GET",
        "/api/v1/ingest",
        get_ingest,
        "getIngest",
        "How far each partition has been applied, and how much waits",
        schemas.ref("Ingest"),
        problems=(400,),
    ),
    Route(
        "GET",
        "/api/v1/openapi.json",
        get_openapi,
        "getOpenapi",
        "This document",
        {"type": "object"},
        reads=False,
    ),
)
