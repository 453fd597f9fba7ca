"""Reads one state of the read model: the pointer to the live generation and the data in one transaction.

A request runs in one REPEATABLE READ, read-only transaction whose first statement reads the pointer row;
everything after it sees the database as it was then, so a flip in between cannot mix two generations.

The statements name the schema themselves (``{schema}.runs``), because a search path would leave it to the
connection which generation a prepared statement meant. The name is the pointer row's: it is checked to be
of the form that generations have, quoted, and filled in here and nowhere else. A name that a request gives
(``?generation=``, or a page token) is looked up among the generations first.

A read that must have seen certain offsets checks in the same transaction that they have been applied; where
they have not, it lets go of its connection, waits for them (`runstone_query.progress`) and begins again.

A single statement is a snapshot as well, without the ways that a transaction costs: `ReadModel.ask` guesses
that the generation is the one that was live a moment ago, and the statement answers which one is.

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

from runstone_query.at_least import AtLeast, NotReachedError, applied_from_text, behind, missing
from runstone_query.configuration import (
    CONNECTIONS,
    LOOK_EVERY_S,
    QUICK_CONNECTIONS,
    RETRY_AFTER_UNKNOWN_S,
    WAIT_MAX_S,
)
from runstone_query.connections import CUT, Connections
from runstone_query.pagination import OtherGenerationError
from runstone_query.problems import Problem
from runstone_query.progress import Progress
from runstone_query.statements import fill, pieces
from runstone_store import generations

_PIECES: Final = pieces(__file__, "snapshot.sql")
_BLOCKS: Final = {
    name: fill(block, applied_offsets=_PIECES["applied_offsets"]) for name, block in _PIECES.items()
}

_GENERATION: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")

_OUTDATED: Final = (
    asyncpg.UndefinedTableError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.InvalidCachedStatementError,
)

_NOTHING: Final[AtLeast] = {}

_QUICK_SETTINGS: Final = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}
"""Statements that look a few keys up: planning them takes five times as long as executing them, so they are
planned once; and by the indexes, since the tables may have been empty then."""

Answer = TypeVar("Answer")


class _NoGenerationProblem(Problem):
    def __init__(self, name: str) -> None:
        super().__init__(
            404,
            "no-such-generation",
            f"there is no generation {name[:100]!r} (any more); 'runstone replay status' lists them",
        )


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
    """Reads from the database of a DSN; used from one event loop by many requests at once."""

    def __init__(self, dsn: str) -> None:
        self._connections = Connections(dsn, CONNECTIONS)
        self._quick = Connections(dsn, QUICK_CONNECTIONS, _QUICK_SETTINGS)
        self._progress = Progress(dsn, self._applied)
        self._live: str | None = None

    async def close(self) -> None:
        """Close every connection, those in use included."""
        await self._progress.close()
        await self._quick.close()
        await self._connections.close()

    async def read(
        self,
        question: Callable[[Snapshot], Awaitable[Answer]],
        at_least: AtLeast = _NOTHING,
        generation: str | None = None,
    ) -> Answer:
        """What *question* answers, asked of one snapshot of *generation* that has reached *at_least*.

        Without a name it is the live one; a page token of another one is gone on with in its own, as long as
        there is that. It is asked once more where the generation had gone.

        Raises:
            Problem: 404 where there is no such generation; 503 where the database does not answer or holds no
                read model, or where the offsets will not be reached in time.
        """
        if generation is not None:
            return await self._read_named(question, at_least, generation)

        async def attempt() -> Answer:
            async with self._snapshot(at_least) as snapshot:
                return await question(snapshot)

        try:
            return await self.reaching(at_least, lambda: _twice(attempt))
        except OtherGenerationError as stale:
            try:
                return await self._read_named(question, at_least, stale.generation)
            except _NoGenerationProblem:
                raise stale from None

    async def _read_named(
        self, question: Callable[[Snapshot], Awaitable[Answer]], at_least: AtLeast, generation: str
    ) -> Answer:
        async def attempt() -> Answer:
            async with self._snapshot(at_least, generation) as snapshot:
                return await question(snapshot)

        deadline = asyncio.get_running_loop().time() + WAIT_MAX_S
        while True:
            try:
                return await _twice(attempt)
            except NotReachedError:
                if asyncio.get_running_loop().time() > deadline:
                    raise behind(RETRY_AFTER_UNKNOWN_S) from None
            await asyncio.sleep(LOOK_EVERY_S)

    async def reaching(self, at_least: AtLeast, attempt: Callable[[], Awaitable[Answer]]) -> Answer:
        """What *attempt* answers, made again after a wait as often as it raises `NotReachedError`.

        Raises:
            Problem: 503 where the offsets will not be reached in time.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + WAIT_MAX_S
        while True:
            try:
                return await attempt()
            except NotReachedError:
                if loop.time() > deadline:  # reached again and again, and each time in another generation
                    raise behind(RETRY_AFTER_UNKNOWN_S) from None
            await self._progress.reach(at_least, deadline)

    async def lookup(
        self, statement: str, *arguments: object, at_least: AtLeast = _NOTHING
    ) -> list[asyncpg.Record]:
        """The rows of one *statement* that looks a few keys up, in a snapshot that has reached *at_least*.

        It costs one way to the database where `read` costs four. ``{schema}`` in it becomes the live
        generation's schema.

        Raises:
            Problem: 503 where the database does not answer or holds no read model, or where the offsets will
                not be reached in time.
        """
        applied = _BLOCKS["applied_offsets"] if at_least else "NULL"
        wrapped = fill(_BLOCKS["lookup"], applied=applied, statement=statement)

        async def attempt() -> list[asyncpg.Record]:
            rows = await self.ask(wrapped, *arguments)
            if at_least and missing(at_least, applied_from_text(rows[0]["applied"])):
                raise NotReachedError
            return [row for row in rows if row["is_found"]]

        return await self.reaching(at_least, attempt)

    async def ask(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows, at least one, of *statement*, which is a snapshot of its own.

        Its column ``generation`` must be what the pointer row says at that moment.

        Raises:
            Problem: 503 where the database does not answer or holds no read model.
        """
        return await _twice(lambda: self._ask(statement, arguments))

    async def _ask(self, statement: str, arguments: tuple[object, ...]) -> list[asyncpg.Record]:
        async def first(connection: asyncpg.Connection) -> tuple[str, list[asyncpg.Record]]:
            guessed = self._live or await generations.live(connection)
            return guessed, await connection.fetch(fill(statement, schema=quoted(guessed)), *arguments)

        while True:
            try:
                async with self._quick.begin(first) as (_, (guessed, found)):
                    self._live = found[0]["generation"]
            except _OUTDATED:
                self._live = None
                raise
            if found[0]["generation"] == guessed:
                return found

    async def _applied(self) -> AtLeast:
        return applied_from_text((await self.ask(_BLOCKS["applied"]))[0]["applied"])

    @asynccontextmanager
    async def _snapshot(self, at_least: AtLeast, named: str | None = None) -> AsyncIterator[Snapshot]:
        async with self._connections.begin(_transaction) as (connection, transaction):
            try:
                live = await generations.live(connection)
                if named is not None and named != live and not await _is_there(connection, named):
                    raise _NoGenerationProblem(named)
                snapshot = Snapshot(connection, named or live)
                if at_least and not await _has_reached(snapshot, at_least):
                    raise NotReachedError
                yield snapshot
            finally:
                try:
                    await transaction.rollback()
                except CUT:
                    pass  # then there is nothing to roll back, and the connection is thrown away


async def _transaction(connection: asyncpg.Connection) -> Transaction:
    transaction = connection.transaction(isolation="repeatable_read", readonly=True)
    await transaction.start()
    return transaction


async def _is_there(connection: asyncpg.Connection, named: str) -> bool:
    return bool(_GENERATION.fullmatch(named) and await connection.fetchval(_BLOCKS["is_there"], named))


async def _has_reached(snapshot: Snapshot, wanted: AtLeast) -> bool:
    found = await snapshot.row(_BLOCKS["applied"])
    assert found is not None
    return not missing(wanted, applied_from_text(found["applied"]))


async def _twice(attempt: Callable[[], Awaitable[Answer]]) -> Answer:
    """What *attempt* answers, made once more where the generation had gone or a plan had become invalid."""
    try:
        return await attempt()
    except _OUTDATED:
        pass
    try:
        return await attempt()
    except _OUTDATED as missing_table:
        raise Problem(503, "no-read-model", f"the read model is not complete ({missing_table})") from None
