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
from asyncpg.transaction import Transaction

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

_CUT: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""What a statement raises on a connection that the server has closed, depending on the moment."""

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
        pool, connection, transaction = await self._begun()
        try:
            yield Snapshot(connection, await generations.live(connection))
        except NotMigratedError as missing:
            raise Problem(503, "no-read-model", str(missing)) from None
        except asyncpg.InsufficientPrivilegeError as refused:
            raise Problem(
                503,
                "no-read-model",
                f"the database refuses to be read ({refused}); run 'runstone migrate', which grants it",
            ) from None
        except (asyncpg.InterfaceError, asyncpg.InternalClientError) as cut:
            if isinstance(cut, ValueError):  # not the connection, but an argument that does not fit
                raise
            raise read_model_away(cut) from None
        finally:
            await _end(pool, connection, transaction)

    async def _begun(self) -> tuple[asyncpg.Pool, asyncpg.Connection, Transaction]:
        """A connection with the transaction begun.

        Connections that the server has cut lie in the pool until somebody uses them. They are thrown away
        here, and when there can be no more of them, the database is away.
        """
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                async with self._opening:
                    if self._pool is None:
                        self._pool = await open_readers(self._dsn, "runstone api", CONNECTIONS)
                cut: Exception | None = None
                for _ in range(CONNECTIONS + 1):
                    connection = await self._pool.acquire()
                    transaction = connection.transaction(isolation="repeatable_read", readonly=True)
                    try:
                        await transaction.start()
                    except BaseException as failed:
                        _throw_away(connection)
                        if not isinstance(failed, _CUT):
                            raise
                        cut = failed
                    else:
                        return self._pool, connection, transaction
                assert cut is not None
                raise cut
        except (OSError, TimeoutError, asyncpg.PostgresError, *_CUT) as away:
            raise read_model_away(away) from None


async def _end(pool: asyncpg.Pool, connection: asyncpg.Connection, transaction: Transaction) -> None:
    """Give the connection back, or throw it away where it does not even roll back."""
    try:
        await transaction.rollback()
        await pool.release(connection)
    except Exception:  # it was cut; whoever was asking has been told, or has had the answer already
        _throw_away(connection)


def _throw_away(connection: asyncpg.Connection) -> None:
    try:
        connection.terminate()
    except asyncpg.InterfaceError:
        pass  # the pool has noticed before us
