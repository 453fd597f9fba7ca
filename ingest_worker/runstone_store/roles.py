"""Roles: the worker's user owns and writes, ``runstone_reader`` can only read.

Where the migrating user may not create roles (many a managed Postgres), nothing fails: the caller is told,
and ``RUNSTONE_READ_DSN`` may name a user that an administrator has limited. Settings of a role hold for its
logins only, not after SET ROLE, so `runstone_store.pool` sends them with every reading connection as well.
"""

from collections.abc import Iterable
from typing import Any, Final

import asyncpg

from runstone_store import named_sql

READER: Final = "runstone_reader"

SCHEMAS: Final = ("runstone_meta", "runstone")
"""What the reader may read besides the generations."""

_SQL: Final = named_sql.load(__file__, "roles.sql")


def script(generations: Iterable[str]) -> str:
    """The statements of `grant`, for an administrator who runs them by hand."""
    schemas = [_SQL["grant_schema"].format(schema=schema) for schema in (*SCHEMAS, *generations)]
    return "\n\n".join([_SQL["create_reader"], _SQL["limit_reader"], _SQL["grant_reader_to_us"], *schemas])


async def grant(connection: Any, generations: Iterable[str]) -> list[str]:
    """Make the reading role where that is allowed and let it read *generations*; what could not be, in words.

    Roles belong to the whole server: what is there already is left alone, so that databases that are migrated
    at the same time do not contend for it.
    """
    try:
        found = await connection.fetchrow(_SQL["reader_exists"])
        if found is None:
            await connection.execute(_SQL["create_reader"])
        if found is None or not found[0]:
            await connection.execute(_SQL["limit_reader"])
        if not await connection.fetchval(_SQL["may_become_reader"]):
            await connection.execute(_SQL["grant_reader_to_us"])
        for schema in (*SCHEMAS, *generations):
            await connection.execute(_SQL["grant_schema"].format(schema=schema))
    except asyncpg.InsufficientPrivilegeError as refused:
        note = (
            f"the role {READER} could not be made or granted ({refused}); the read model works without it: "
            f"let RUNSTONE_READ_DSN name a user that can only read (see docs/read-model.md)"
        )
        return [note]
    except asyncpg.InternalServerError as race:
        # "tuple concurrently updated": another database's migration changes the same role at this moment
        return [f"another migration is changing the role {READER} at this moment ({race}); run it again"]
    return []
