"""Applies the migrations, all in one transaction under an advisory lock: a database has all of them or none.

Whoever comes second waits for the lock and then finds nothing to do. Roles come last and outside of the
transaction, because a managed Postgres may refuse them and everything else is of use without.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from runstone_store import generations, named_sql, roles
from runstone_store.exceptions import MigrationError

_HERE: Final = Path(__file__).parent
_SQL: Final = named_sql.load(__file__, "migrations.sql")
_META: Final = "runstone_meta"

Applied = Mapping[tuple[str, int], str]
"""(schema, number) of each applied migration -> checksum of its text."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file; ``checksum`` is the SHA-256 of its bytes, in hexadecimal digits."""

    number: int
    name: str
    text: str
    checksum: str


def migrations(kind: str) -> list[Migration]:
    """The migrations of *kind* (``meta`` or ``generation``) in order; numbers are dense from 1."""
    found = []
    for number, path in enumerate(sorted((_HERE / kind).glob("*.sql")), 1):
        if re.fullmatch(rf"{number:04}_\w+", path.stem) is None:
            raise MigrationError(f"{path}: expected a file named {number:04}_what_it_does.sql")
        data = path.read_bytes()
        found.append(Migration(number, path.stem, data.decode(), hashlib.sha256(data).hexdigest()))
    return found


def views(generation: str) -> str:
    """The statements that (re)point every view of schema ``runstone`` at *generation*."""
    text = _HERE.parent.joinpath("views.sql").read_text(encoding="utf-8")
    return f"SET LOCAL search_path TO {generation};\n{text}"


def pending(target: str, kind: str, applied: Applied) -> list[Migration]:
    """What of *kind* the schema *target* still lacks.

    Raises:
        MigrationError: the database was migrated by a newer version, or from other texts under these numbers.
    """
    known = {migration.number: migration for migration in migrations(kind)}
    for (schema, number), checksum in applied.items():
        if schema != target:
            continue
        if number not in known:
            raise MigrationError(
                f"schema {target} has migration {number}, which this version does not know (it knows "
                f"{max(known)}): the database belongs to a newer Runstone; install that one"
            )
        if known[number].checksum != checksum:
            raise MigrationError(
                f"schema {target}: migration {known[number].name} was applied from another text (checksum "
                f"{checksum[:12]}, expected {known[number].checksum[:12]}); use the version that applied it, "
                f"or migrate an empty database"
            )
    return [migration for number, migration in known.items() if (target, number) not in applied]


def _apply(target: str, migration: Migration) -> str:
    return (
        f"-- {target}: {migration.name}\n"
        f"SET LOCAL search_path TO {target};\n"
        f"{migration.text}\n"
        "INSERT INTO runstone_meta.migrations (target, number, name, checksum)\n"
        f"VALUES ('{target}', {migration.number}, '{migration.name}', '{migration.checksum}');\n"
    )


def _statements(applied: Applied, existing: Iterable[str], live: str | None) -> Iterator[str]:
    for migration in pending(_META, "meta", applied):
        yield _apply(_META, migration)
    targets = list(existing)
    if not targets:
        targets = [generations.FIRST]
        yield (
            f"CREATE SCHEMA {generations.FIRST};\n"
            f"INSERT INTO runstone_meta.generations (generation, state) "
            f"VALUES ('{generations.FIRST}', 'live');\n"
            f"INSERT INTO runstone_meta.live (generation) VALUES ('{generations.FIRST}');\n"
        )
    for target in targets:
        for migration in pending(target, "generation", applied):
            yield _apply(target, migration)
    yield "CREATE SCHEMA IF NOT EXISTS runstone;\n" + views(live or targets[0])


def script() -> str:
    """Everything that `migrate` would run in an empty database, for an administrator who runs it by hand."""
    parts = [_SQL["lock"], _SQL["bookkeeping"], *_statements({}, [], None)]
    return "\n\n".join(["BEGIN;", *parts, "COMMIT;", roles.script([generations.FIRST])]) + "\n"


async def lock(connection: Any) -> None:
    """Let nobody else migrate, make, flip or drop generations of this database until the transaction ends."""
    await connection.execute(_SQL["lock"])


async def make_schema(connection: Any, generation: str) -> None:
    """Make the schema *generation*, whose row is there, with all tables; within the caller's transaction."""
    await connection.execute(f"CREATE SCHEMA {generation}")
    for migration in migrations("generation"):
        await connection.execute(_apply(generation, migration))


async def migrate(dsn: str) -> list[str]:
    """Bring the database of *dsn* to this version's schema; does nothing where that is so already.

    Returns:
        What was done and what could not be (roles on a managed Postgres), in words, a line each.

    Raises:
        MigrationError: the database was made by another Runstone than this one can continue.
        OSError, asyncpg.PostgresError: the database cannot be reached or refuses.
    """
    connection = await asyncpg.connect(dsn)
    try:
        done = []
        async with connection.transaction():
            await connection.execute(_SQL["lock"])
            await connection.execute(_SQL["bookkeeping"])
            applied = {(t, n): c for t, n, c in await connection.fetch(_SQL["applied"])}
            fresh = (_META, 1) not in applied
            existing = [] if fresh else [row[0] for row in await connection.fetch(_SQL["all_generations"])]
            live = None if fresh else await generations.live(connection)
            for statement in _statements(applied, existing, live):
                await connection.execute(statement)
                if statement.startswith("-- "):
                    done.append(f"applied {statement[3:].partition(chr(10))[0]}")
        note = await roles.grant(connection, existing or [generations.FIRST])
        return [*done, *note]
    finally:
        await connection.close()
