"""Generations: each is a schema that holds one complete read model; one of them is live.

Tables are named without a schema everywhere; a connection's ``search_path`` says which generation it works
on. A reader asks for the live one in the same transaction as for the data, because it may be flipped.
"""

from typing import Any, Final

import asyncpg

from runstone_store import named_sql
from runstone_store.exceptions import NotMigratedError

FIRST: Final = "runstone_g1"
"""The generation that ``runstone migrate`` makes in an empty database."""

_SQL: Final = named_sql.load(__file__, "generations.sql")


async def live(connection: Any) -> str:
    """The live generation's schema, asked over the asyncpg *connection*.

    Raises:
        NotMigratedError: the database holds no read model.
    """
    try:
        generation = await connection.fetchval(_SQL["live"])
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        generation = None
    if generation is not None:
        return str(generation)
    raise NotMigratedError("this database holds no read model of Runstone; run 'runstone migrate' on it")
