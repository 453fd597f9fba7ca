"""Reads one state of the read model: the pointer to the live generation and the data in one transaction.

A request runs in one REPEATABLE READ, read-only transaction whose first statement reads the pointer row;
everything after it sees the database as it was then, so a flip in between cannot mix two generations.

The statements name the schema themselves (``{schema}.runs``), because a search path would leave it to the
connection which generation a prepared statement meant. The name is the pointer row's: it is checked to be
of the form that generations have, quoted, and filled in here and nowhere else.

A generation may be dropped between the pointer and the data (its tables are then unknown), and a plan that
the connection had prepared may have become invalid: the request starts over once.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import asyncpg

from runstone_query.configuration import CONNECT_TIMEOUT_S, CONNECTIONS
from runstone_query.problems import Problem, read_model_away
from runstone_query.statements import fill
from runstone_store import generations, named_sql
from runstone_store.exceptions import NotMigratedError
from runstone_store.pool import open_readers

_BLOCKS: Final = named_sql.load(__file__, "snapshot.sql")

_GENERATION: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")

_OUTDATED: Final = (
    asyncpg.UndefinedTableError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.InvalidCachedStatementError,
)

Answer = TypeVar("Answer")


def quoted(generation: str) -> str:
    """The name of a generation's schema as an SQL identifier.

    Raises:
        ValueError: it is not of the form of a generation's name, such as ``runstone_g1``.
    """
    if not _GENERATION.fullmatch(generation):
        raise ValueError(f"the pointer names the generation {generation!r}; expected a name like runstone_g1")
    return f'"{generation}"'


class Snapshot:
    """One state of one generation, for as long as the transaction is open.

    Attributes:
        generation: the name of the schema that is read.
    """

    def __init__(self, connection: asyncpg.Connection, generation: str) -> None:
        self.generation = generation
        self._connection = connection
        self._schema = quoted(generation)

    async def rows(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows that *statement* answers; ``{schema}`` in it becomes the generation's schema."""
        found: list[asyncpg.Record] = await self._connection.fetch(
            fill(statement, schema=self._schema), *arguments
        )
        return found

    async def row(self, statement: str, *arguments: object) -> asyncpg.Record | None:
        """The first of `rows`, or nothing."""
        return await self._connection.fetchrow(fill(statement, schema=self._schema), *arguments)


class ReadModel:
    """The connections to the read model, opened when first asked for, so that the API can start before it.

    Used from one event loop by many requests at once; the lock keeps two of them from opening two pools.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Close every connection, those in use included."""
        if self._pool is not None:
            self._pool.terminate()

    async def read(self, question: Callable[[Snapshot], Awaitable[Answer]]) -> Answer:
        """What *question* answers, asked of one snapshot, and once more where the generation had gone.

        Raises:
            Problem: 503 where the database does not answer or holds no read model.
        """
        try:
            async with self._snapshot() as snapshot:
                return await question(snapshot)
        except _OUTDATED:
            pass
        try:
            async with self._snapshot() as snapshot:
                return await question(snapshot)
        except _OUTDATED as missing:
            raise Problem(503, "no-read-model", f"the read model is not complete ({missing})") from None

    async def answers(self) -> None:
        """Read something. Raises what `read` raises."""
        await self.read(lambda snapshot: snapshot.row(_BLOCKS["answers"]))

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[Snapshot]:
        pool, connection = await self._connection()
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                yield Snapshot(connection, await generations.live(connection))
        except NotMigratedError as missing:
            raise Problem(503, "no-read-model", str(missing)) from None
        except asyncpg.InsufficientPrivilegeError as refused:
            raise Problem(
                503,
                "no-read-model",
                f"the database refuses to be read ({refused}); run 'runstone migrate', which grants it",
            ) from None
        finally:
            await pool.release(connection)

    async def _connection(self) -> tuple[asyncpg.Pool, asyncpg.Connection]:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                async with self._opening:
                    if self._pool is None:
                        self._pool = await open_readers(self._dsn, "runstone api", CONNECTIONS)
                return self._pool, await self._pool.acquire()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as away:
            raise read_model_away(away) from None
