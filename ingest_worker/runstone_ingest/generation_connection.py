"""A connection for a command that works on one generation of the read model."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from runstone_store import configuration, generations, pool


@asynccontextmanager
async def connect_to(generation: str | None, application: str) -> AsyncIterator[Any]:
    """A writing connection to the schema *generation* (None: the live one) of RUNSTONE_POSTGRES_DSN.

    Raises:
        InvalidInputError: the variable is not set.
        NotMigratedError: the database holds no read model.
        OSError, asyncpg.PostgresError: the database cannot be reached.
    """
    connection = await pool.connect_writer(configuration.postgres_dsn(), application)
    try:
        name = generation or await generations.live(connection)
        await connection.execute("SELECT set_config('search_path', $1, false)", name)
        yield connection
    finally:
        await connection.close()
