"""``/internal/v1``: what the gateway asks for itself. It passes none of these on to its own callers."""

from typing import Final

from aiohttp import web

from runstone_query import facts, inputs
from runstone_query.problems import not_found
from runstone_query.reading import read_for_gateway
from runstone_query.services import CONFIGURATION, MODEL, json
from runstone_store import named_sql

_BLOCKS: Final = named_sql.load(facts.__file__, "verdicts.sql")


async def get_facts(request: web.Request) -> web.Response:
    """What the read model knows of the runs, experiments and models that the body names."""
    body = await inputs.body(request, facts.FIELDS)
    wanted = facts.checked(body, request.app[CONFIGURATION].topics)
    return json(await facts.read(request.app[MODEL], wanted))


async def get_verdict(request: web.Request) -> web.Response:
    """What became of a request to the catalog."""
    asked = request.match_info["request"]
    if not inputs.storable(asked):
        raise not_found("verdict", asked)
    found = await read_for_gateway(request, lambda snapshot: snapshot.row(_BLOCKS["verdict"], asked))
    if found is None:
        raise not_found("verdict", asked)
    return json(dict(found))


ROUTES: Final = (
    web.post("/internal/v1/facts", get_facts),
    web.get("/internal/v1/verdicts/{request}", get_verdict, allow_head=False),
)
