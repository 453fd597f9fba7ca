"""Reads the model for a request: not before it has reached what the request says that it must have seen."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
from aiohttp import web

from runstone_query import at_least, inputs
from runstone_query.at_least import AtLeast
from runstone_query.ingest import read_partitions
from runstone_query.problems import Problem
from runstone_query.services import CONFIGURATION, END_OFFSETS, MODEL
from runstone_query.snapshot import Snapshot

Answer = TypeVar("Answer")


async def read(request: web.Request, question: Callable[[Snapshot], Awaitable[Answer]]) -> Answer:
    """What *question* answers, in a snapshot that has seen what header and query of *request* ask for.

    Raises:
        Problem: 400 for a header or query that is wrong, 404 for a generation that is not there, 503 where
            the answer cannot be given in time.
    """
    generation = request.query.get("generation")
    return await request.app[MODEL].read(question, await _wanted(request), generation)


async def read_for_gateway(request: web.Request, question: Callable[[Snapshot], Awaitable[Answer]]) -> Answer:
    """`read` for routes whose query belongs to somebody else: only the gateway's header counts."""
    return await request.app[MODEL].read(question, of_header(request))


async def lookup_for_gateway(
    request: web.Request, statement: str, *arguments: object
) -> list[asyncpg.Record]:
    """The rows of one *statement* that looks a few keys up; only the gateway's header counts."""
    return await request.app[MODEL].lookup(statement, *arguments, at_least=of_header(request))


def of_header(request: web.Request) -> AtLeast:
    """The offsets that the gateway's header asks for; none where there is no header."""
    text = request.headers.get(at_least.HEADER)
    return {} if text is None else at_least.from_header(text, request.app[CONFIGURATION].topics)


async def _wanted(request: web.Request) -> AtLeast:
    # a picture of the past need not have what was written through the gateway
    wanted = {} if "generation" in request.query else of_header(request)
    if "min_offset" in request.query:
        topic = request.app[CONFIGURATION].topics["events"]
        wanted = at_least.joined(wanted, at_least.from_min_offset(request.query["min_offset"], topic))
    if inputs.flag("consistent", request.query.get("consistent", "false")):
        wanted = at_least.joined(wanted, await _ends(request))
    return wanted


async def _ends(request: web.Request) -> AtLeast:
    """Where Kafka's partitions end now."""
    topics = request.app[CONFIGURATION].topics
    places = await request.app[MODEL].read(lambda snapshot: read_partitions(snapshot, topics))
    if not places:
        raise Problem(
            503, "behind", "consistent=true: the read model knows no partitions yet, no worker has begun"
        )
    ends = await request.app[END_OFFSETS].now(places)
    if ends.reason is not None:
        raise Problem(503, "kafka-away", f"consistent=true: {ends.reason}; ask again, or without it")
    return ends.offsets
