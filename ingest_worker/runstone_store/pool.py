"""Connections to the read model: one for a writer, a pool for readers.

Both connect to Postgres itself or to a pooler in session mode. pgbouncer in transaction mode does not work:
asyncpg prepares named statements, the worker sets its session up once and names its backend in
``ingest_partitions``. ``jsonb`` arrives and leaves as Python values on every connection.
"""

import socket
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import asyncpg
import orjson

from runstone_store import named_sql, roles

_ROLES: Final = named_sql.load(roles.__file__, "roles.sql")

READ_TIMEOUT: Final = "30s"
"""What a reader's statement may take; longer ones are a mistake and hold back vacuum."""

LOCK_TIMEOUT: Final = "5s"
"""What a writer waits for another's lock before it finds out who holds it."""

IDLE_TIMEOUT: Final = "60s"
"""How long a writer's transaction may lie idle; the worker has a whole batch in memory before it begins."""

_PROBES: Final = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 30_000}
"""A server whose machine is gone is silent for ever: it is asked after 10 s and given up after 30 s."""


async def speak_json(connection: Any) -> None:
    """Let ``jsonb`` travel as Python values over the asyncpg *connection*."""
    await connection.set_type_codec(
        "jsonb",
        encoder=lambda value: orjson.dumps(value).decode(),
        decoder=orjson.loads,
        schema="pg_catalog",
        format="text",
    )


def _probe(connection: Any) -> None:
    """Let the system find out when the server's machine is gone; a statement would wait for it for ever."""
    found = connection._transport.get_extra_info("socket")  # noqa: SLF001  # asyncpg has no way of its own
    if found.family == socket.AF_UNIX:
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _PROBES.items():
        if hasattr(socket, name):  # not every system has all of them
            found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def connect_writer(dsn: str, application: str) -> Any:
    """An asyncpg connection for the one who writes, shown to people as *application*.

    Its commits do not wait for the disk: rows, marks and offsets are lost together or not at all, and Kafka
    delivers again what was lost.
    """
    connection = await asyncpg.connect(
        dsn,
        timeout=10,
        server_settings={
            "application_name": application,
            "synchronous_commit": "off",
            "lock_timeout": LOCK_TIMEOUT,
            "idle_in_transaction_session_timeout": IDLE_TIMEOUT,
            "timezone": "UTC",
        },
    )
    _probe(connection)
    await speak_json(connection)
    return connection


async def _become_reader(connection: Any) -> None:
    _probe(connection)
    await speak_json(connection)
    if await connection.fetchval(_ROLES["may_become_reader"]):
        await connection.execute(_ROLES["become_reader"])


async def _keep(_connection: Any) -> None:
    """Leave the session as it is between two users: readers change nothing of it, and asking costs a way."""


async def open_readers(
    dsn: str, application: str, size: int = 8, settings: Mapping[str, str] = MappingProxyType({})
) -> Any:
    """An asyncpg pool of up to *size* connections that can only read, shown to people as *application*.

    *settings* are further parameters of their sessions.

    Every connection is read-only by its settings; where the user of *dsn* may become ``runstone_reader``, by
    its rights too.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=size,
        timeout=10,
        init=_become_reader,
        reset=_keep,
        server_settings={
            "application_name": application,
            "default_transaction_read_only": "on",
            "statement_timeout": READ_TIMEOUT,
            "timezone": "UTC",
            **settings,
        },
    )


async def open_listener(dsn: str, application: str, channel: str, heard: Callable[[], None]) -> Any:
    """A connection that calls *heard* with every notification of *channel*, shown as *application*.

    Raises:
        asyncpg.PostgresError: among others where the server is a replica, which cannot listen.
    """
    connection = await asyncpg.connect(
        dsn,
        timeout=5,
        server_settings={"application_name": application, "default_transaction_read_only": "on"},
    )
    try:
        _probe(connection)
        await connection.add_listener(channel, lambda *_told: heard())
    except BaseException:
        connection.terminate()
        raise
    return connection
