"""``/internal/v1``: what the gateway asks for itself. It passes none of these on to its own callers."""

from typing import Final

from aiohttp import web

from runstone_query import facts, inputs
from runstone_query.at_least import OFFSET_MAX
from runstone_query.problems import not_found
from runstone_query.reading import lookup_for_gateway
from runstone_query.services import CONFIGURATION, MODEL, json
from runstone_query.statements import pieces

_BLOCKS: Final = pieces(facts.__file__, "verdicts.sql")


async def get_facts(request: web.Request) -> web.Response:
    """What the read model knows of the runs, experiments and models that the body names."""
    body = await inputs.body(request, facts.FIELDS)
    wanted = facts.checked(body, request.app[CONFIGURATION].topics)
    return json(await facts.read(request.app[MODEL], wanted))


async def get_verdict(request: web.Request) -> web.Response:
    """What became of a request to the catalog; its ``offset`` finds it among the dead letters too."""
    asked = request.match_info["request"]
    if not inputs.storable(asked):
        raise not_found("verdict", asked)
    given = request.query.get("offset")
    offset = None if given is None else inputs.digits("offset", given, 0, OFFSET_MAX)
    topic = request.app[CONFIGURATION].topics["catalog"]
    found = await lookup_for_gateway(request, _BLOCKS["verdict"], asked, topic, offset)
    if not found:
        raise not_found("verdict", asked)
    return json({name: found[0][name] for name in ("accepted", "code", "answer")})


ROUTES: Final = (
    web.post("/internal/v1/facts", get_facts),
    web.get("/internal/v1/verdicts/{request}", get_verdict, allow_head=False),
)
