"""How a generation begins, is swapped in, and ends; each change is one transaction.

The flip is the delicate one. It must not hide what people have seen already (the gateway, for one, forgets
its own writes once the read model has them), so the new generation's offsets must have reached the old one's
*in the transaction that flips*. While the old one moves on, that is never quite so: hence the flip locks the
old one's offsets, which holds its workers up in the first statement of their transaction, waits for a moment
until the new one's workers have come so far, re-points the views, moves the pointer, and commits. A reader's
transaction sees the state before or the one after.

No view's lock is waited for longer than `short_locks` says: a psql that reads a view in an open transaction
delays the flip, which begins again, and is never ended by it.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

import asyncpg

from runstone_store import generations, named_sql, roles
from runstone_store.exceptions import GenerationError
from runstone_store.generations import Generation
from runstone_store.migrations import runner

STANDSTILL: Final = 2.0
"""Seconds that ingest of the live generation may be held up by one attempt; its workers wait for five."""

FLIP_PATIENCE: Final = 60.0
"""Seconds of attempts, after which somebody has to look why."""

DROP_PATIENCE: Final = 30.0
_TELL: Final = 5.0
"""Seconds that workers have to see that their generation is to be dropped; they look every two."""

_LOOK: Final = 0.02
_AGAIN: Final = 0.2

_SQL: Final = named_sql.load(__file__, "generation_changes.sql")

Offsets = Mapping[tuple[str, int], int]


async def begin(
    connection: Any, until: Mapping[str, Mapping[str, int]] | None, rate: float | None, asked: str
) -> tuple[str, list[str]]:
    """Make an empty generation for a replay, which workers then fill: its name, and notes for people."""
    async with connection.transaction():
        await runner.lock(connection)
        name = str(await connection.fetchval(_SQL["begin"], until, rate, asked))
        await runner.make_schema(connection, name)
    return name, await roles.grant(connection, [name])


async def become(connection: Any, name: str, before: str, after: str) -> bool:
    """Whether the generation was in the state *before* and is in *after* from now on."""
    return await connection.fetchval(_SQL["become"], name, [before], after) is not None


async def offsets(connection: Any, name: str) -> Offsets:
    """By (topic, partition) the first offset that the generation *name* has not applied."""
    rows = await connection.fetch(_SQL["offsets"].format(generation=name))
    return {(topic, partition): offset for topic, partition, offset in rows}


async def offsets_here(connection: Any) -> Offsets:
    """The same of the generation that the connection's search path names."""
    return {(row[0], row[1]): row[2] for row in await connection.fetch(_SQL["offsets_here"])}


async def size(connection: Any, name: str) -> int:
    """Bytes that the generation *name* takes."""
    return int(await connection.fetchval(_SQL["size"], name))


async def last_retired(connection: Any) -> str | None:
    """The generation to which a flip back would go."""
    found = await connection.fetchval(_SQL["last_retired"])
    return None if found is None else str(found)


async def flip(connection: Any, name: str, patience: float = FLIP_PATIENCE) -> str:
    """Make *name* the generation that people read: which one was it before?

    Raises:
        GenerationError: it is not one that ingests and has caught up, or it does not reach the offsets of the
            live one within *patience* seconds, or somebody holds a lock on a view for all that time.
        NoSuchGenerationError: there is none of that name.
    """
    deadline = time.monotonic() + patience
    why = ""
    while True:
        _check_may_flip(await generations.find(connection, name))
        await _wait_close(connection, name, deadline)
        try:
            return await _attempt(connection, name)
        except asyncpg.LockNotAvailableError:
            why = "a transaction that reads the views, or one that ingests, does not end"
        except _BehindError as behind:
            why = str(behind)
        if time.monotonic() > deadline:
            raise GenerationError(
                f"{name} was not swapped in within {patience:g} s: {why}; nothing was changed, try again"
            )
        await asyncio.sleep(_AGAIN)


class _BehindError(Exception):
    """The new generation is not where the live one is."""


def _check_may_flip(found: Generation) -> None:
    if found.is_live:
        raise GenerationError(f"{found.name} is live already; nothing was changed")
    if found.state in {"ready", "retired"}:
        return
    raise GenerationError(
        {
            "building": f"{found.name} has not caught up yet; wait until 'runstone replay status' says ready",
            "frozen": f"{found.name} ends at {found.asked} and never ingests more: it can be read with "
            f"?generation={found.name}, not swapped in",
        }.get(found.state, f"{found.name} is being dropped")
    )


async def _wait_close(connection: Any, name: str, deadline: float) -> None:
    """Wait until *name* is where the live one was a moment ago: only then is it worth holding ingest up."""
    wanted = await offsets(connection, await generations.live(connection))
    # what changes is in the database, which sets no event
    while _behind(wanted, await offsets(connection, name)) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(_LOOK)


async def _attempt(connection: Any, name: str) -> str:
    async with connection.transaction():
        await connection.execute(_SQL["batch_locks"])
        before = str(await connection.fetchval(_SQL["take_pointer"]))
        wanted = {
            (topic, partition): offset
            for topic, partition, offset in await connection.fetch(
                _SQL["stop_ingest"].format(generation=before)
            )
        }
        until = time.monotonic() + STANDSTILL
        while behind := _behind(wanted, await offsets(connection, name)):
            if time.monotonic() > until:
                raise _BehindError(
                    f"it has not reached the live generation's offset in {behind}; do its workers run, and "
                    f"is none of its partitions halted?"
                )
            await asyncio.sleep(_LOOK)
        await connection.execute(_SQL["short_locks"])
        await connection.execute(runner.views(name))
        await connection.fetchval(_SQL["become"], before, ["live"], "retired")
        if await connection.fetchval(_SQL["become"], name, ["ready", "retired"], "live") is None:
            raise _BehindError("it is being dropped")
        await connection.execute(_SQL["point"], name)
    return before


def _behind(wanted: Offsets, reached: Offsets) -> str:
    """The partitions in which *reached* lacks something, for people; empty where there are none."""
    lacking = sorted(place for place, offset in wanted.items() if reached.get(place, 0) < offset)
    return ", ".join(f"{topic}/{partition}" for topic, partition in lacking)


async def drop(connection: Any, name: str, patience: float = DROP_PATIENCE) -> None:
    """End the generation *name*: its workers are told to stop, then its schema goes.

    Raises:
        GenerationError: it is live, or somebody reads it for all of *patience* seconds.
        NoSuchGenerationError: there is none of that name.
    """
    began = time.monotonic()
    found = await generations.find(connection, name)
    others = [state for state in (*generations.INGESTING, "frozen", "dropping") if state != "live"]
    if found.is_live or await connection.fetchval(_SQL["become"], name, others, "dropping") is None:
        raise GenerationError(f"{name} is live; swap another one in before it is dropped")
    while True:
        if time.monotonic() - began > _TELL:
            await connection.fetchval(_SQL["end_owners"].format(generation=name))
        try:
            async with connection.transaction():
                await connection.execute(_SQL["short_locks"])
                await connection.execute(_SQL["drop"].format(generation=name))
                await connection.execute(_SQL["forget"], name)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as held:
            if time.monotonic() - began > patience:
                raise GenerationError(
                    f"{name} is still being read or written after {patience:g} s ({held}); it stays as it is "
                    f"until 'runstone replay drop {name}' is run again"
                ) from held
            await asyncio.sleep(_AGAIN)
        else:
            return
