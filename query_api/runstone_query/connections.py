"""Connections to the read model, and what their failures mean to whoever asks.

Connections that the server has cut lie in the pool until somebody uses them. They are thrown away when that
shows, and when there can be no more of them, the database is away.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Final, TypeVar

import asyncpg

from runstone_query.configuration import CONNECT_TIMEOUT_S
from runstone_query.outage import Outage
from runstone_query.problems import Problem, read_model_away
from runstone_store.exceptions import NotMigratedError
from runstone_store.pool import open_readers

CUT: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""What a statement raises on a connection that the server has closed, depending on the moment."""

Begun = TypeVar("Begun")


class Connections:
    """A pool of up to *size* connections with the session parameters *settings*.

    It is opened when first asked for, so that the API can start before its database.

    Used from one event loop by many requests at once; the lock keeps two of them from opening two pools.
    """

    def __init__(self, dsn: str, size: int, settings: Mapping[str, str] = MappingProxyType({})) -> None:
        self._dsn = dsn
        self._size = size
        self._settings = settings
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()
        self._outage = Outage()

    async def close(self) -> None:
        """Close every connection, those in use included."""
        if self._pool is not None:
            self._pool.terminate()

    @asynccontextmanager
    async def begin(
        self, first: Callable[[asyncpg.Connection], Awaitable[Begun]]
    ) -> AsyncIterator[tuple[asyncpg.Connection, Begun]]:
        """A connection for as long as the context lasts, and what *first* has answered on it.

        *first* is done again on another connection where this one turns out to be cut; it has a few seconds.

        Raises:
            Problem: 503 where the database does not answer or does not let itself be read.
        """
        try:
            pool, connection, begun = await self._begun(first)
            try:
                yield connection, begun
            finally:
                await _give_back(pool, connection)
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
            raise self._away(cut) from None

    async def _begun(
        self, first: Callable[[asyncpg.Connection], Awaitable[Begun]]
    ) -> tuple[asyncpg.Pool, asyncpg.Connection, Begun]:
        try:
            pool, connection = await self._acquired()
            cut: Exception | None = None
            for _ in range(self._size + 1):
                try:
                    async with asyncio.timeout(CONNECT_TIMEOUT_S):
                        begun = await first(connection)
                except BaseException as failed:
                    if not isinstance(failed, CUT) or isinstance(failed, ValueError):
                        await _give_back(pool, connection)
                        raise
                    _throw_away(connection)
                    cut = failed
                else:
                    self._outage.over()
                    return pool, connection, begun
                pool, connection = await self._acquired()
            await _give_back(pool, connection)
            assert cut is not None
            raise cut
        except (TimeoutError, *CUT) as away:
            if isinstance(away, ValueError):  # an argument that does not fit
                raise
            raise self._away(away) from None

    async def _acquired(self) -> tuple[asyncpg.Pool, asyncpg.Connection]:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                async with self._opening:
                    if self._pool is None:
                        self._pool = await open_readers(self._dsn, "runstone api", self._size, self._settings)
                return self._pool, await self._pool.acquire()
        except (TimeoutError, asyncpg.PostgresError, *CUT) as away:
            raise self._away(away) from None

    def _away(self, why: BaseException) -> Problem:
        problem = read_model_away(why)
        problem.retry_after = self._outage.goes_on()
        return problem


async def _give_back(pool: asyncpg.Pool, connection: asyncpg.Connection) -> None:
    """Release the connection, or throw it away where it is no longer good for anything."""
    try:
        await pool.release(connection)
    except Exception:  # it was cut; whoever was asking has been told, or has had the answer already
        _throw_away(connection)


def _throw_away(connection: asyncpg.Connection) -> None:
    try:
        connection.terminate()
    except asyncpg.InterfaceError:
        pass  # the pool has noticed before us
