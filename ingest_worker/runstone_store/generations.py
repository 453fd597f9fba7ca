"""Generations: each is a schema that holds one complete read model; one of them is live.

Tables are named without a schema everywhere; a connection's ``search_path`` says which generation it works
on. A reader asks for the live one in the same transaction as for the data, because it may be flipped.

::

    building ──caught up──► ready ──swap──► live ──another one is swapped in──► retired
        │                                     ▲                                   │
        └─its end is reached──► frozen        └─────────swap, flip-back───────────┘

Every state but live can become ``dropping``, which is the end. What is building, ready, live or retired goes
on ingesting, so that each of the last three can be swapped in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from runstone_store import named_sql
from runstone_store.exceptions import NoSuchGenerationError, NotMigratedError

FIRST: Final = "runstone_g1"
"""The generation that ``runstone migrate`` makes in an empty database."""

INGESTING: Final = ("building", "ready", "live", "retired")
"""The states in which a generation follows the topics."""

_SQL: Final = named_sql.load(__file__, "generations.sql")

_UNKNOWN: Final = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)
_NOT_MIGRATED: Final = "this database holds no read model of Runstone; run 'runstone migrate' on it"


@dataclass(frozen=True, slots=True)
class Generation:
    """Attributes:
    name: of its schema. state: see the module. is_live: whether the pointer names it.
    until: by topic and partition the offset that it never reaches beyond; None where it follows the topics.
    rate: records a second while it is building. asked: what ``until`` was made from, for people.
    """

    name: str
    state: str
    until: Mapping[str, Mapping[str, int]] | None
    rate: float | None
    asked: str
    created_at: datetime
    state_at: datetime
    is_live: bool


async def live(connection: Any) -> str:
    """The live generation's schema, asked over the asyncpg *connection*.

    Raises:
        NotMigratedError: the database holds no read model.
    """
    try:
        generation = await connection.fetchval(_SQL["live"])
    except _UNKNOWN:
        generation = None
    if generation is not None:
        return str(generation)
    raise NotMigratedError(_NOT_MIGRATED)


async def listed(connection: Any) -> list[Generation]:
    """All generations, the oldest first.

    Raises:
        NotMigratedError: the database holds no read model, or one of an older version.
    """
    try:
        return [Generation(*row) for row in await connection.fetch(_SQL["listed"], None)]
    except (*_UNKNOWN, asyncpg.UndefinedColumnError):
        raise NotMigratedError(_NOT_MIGRATED) from None


async def find(connection: Any, name: str) -> Generation:
    """The generation *name*.

    Raises:
        NoSuchGenerationError: there is none, or no longer.
    """
    row = await connection.fetchrow(_SQL["listed"], name)
    if row is None:
        raise NoSuchGenerationError(f"there is no generation {name!r}; 'runstone replay status' lists them")
    return Generation(*row)
