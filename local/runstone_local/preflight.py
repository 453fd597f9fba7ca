"""What would make a start fail, found before anything is started; each says in a line what to do."""

import errno
import shutil
import urllib.parse
from pathlib import Path
from typing import Final

from runstone.exceptions import InvalidInputError
from runstone_local import ports
from runstone_local.addresses import host_port
from runstone_local.exceptions import CannotStartError
from runstone_local.postgres_install import OLDEST_MAJOR
from runstone_local.probe import CONNECT_PATIENCE, connect, reason

FREE_BYTES: Final = 1024**3
"""An installation needs some 200 MB at first; on a disk with less than this left Postgres soon stops."""


def check_port(host: str, port: int) -> None:
    """CannotStartError unless *port* can be listened on."""
    try:
        ports.try_to_listen(port, host)
    except OSError as refused:
        if refused.errno == errno.EADDRINUSE:
            raise CannotStartError(
                f"Port {port} of {host} is taken by another program: stop that one, or choose another port "
                f"with --port (for example --port {port + 1})."
            ) from refused
        if refused.errno == errno.EACCES:
            raise CannotStartError(
                f"Port {port} is for root only: choose one above 1023 with --port."
            ) from refused
        raise CannotStartError(
            f"--host {host} cannot be listened on ({reason(refused)}): give an address of this machine."
        ) from refused


def check_space(folder: Path) -> None:
    """CannotStartError unless the disk of *folder* has room."""
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES:
        raise CannotStartError(
            f"The disk of {folder} has {free / 1e6:.0f} MB left, and {FREE_BYTES / 1e6:.0f} MB are needed: "
            "make room, or choose a folder on another disk with --data."
        )


def brokers(bootstrap: str) -> list[tuple[str, int]]:
    """The hosts and ports in *bootstrap* (``host:port,…``).

    Raises:
        InvalidInputError: it is no such list.
    """
    found = []
    for server in bootstrap.split(","):
        host, _, port = server.strip().rpartition(":")
        if not host or not port.isdecimal() or "/" in host:
            raise InvalidInputError(
                f"--kafka {server.strip()!r} is no address: expected host:port, several with commas."
            )
        found.append((host.strip("[]"), int(port)))
    return found


async def check_kafka(bootstrap: str) -> None:
    """CannotStartError unless one of the brokers in *bootstrap* (``host:port,…``) accepts connections."""
    failures = []
    for host, port in brokers(bootstrap):
        if (failure := await connect(host, port)) is None:
            return
        failures.append(f"{host_port(host, port)}: {failure}")
    raise CannotStartError(
        f"No Kafka broker can be reached ({'; '.join(failures)}): start it, or correct --kafka {bootstrap}."
    )


async def check_postgres(dsn: str) -> None:
    """CannotStartError unless the database of *dsn* can be opened; the password is never shown."""
    import asyncpg  # noqa: PLC0415  only where somebody else's Postgres is used

    where = postgres_address(dsn)
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_PATIENCE)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as failed:
        raise CannotStartError(
            f"Postgres at {where} cannot be used ({reason(failed)}): start it, "
            "or correct the address, user, password and database of --postgres."
        ) from failed
    major = connection.get_server_version().major
    await connection.close()
    if major < OLDEST_MAJOR:
        raise CannotStartError(
            f"Postgres at {where} is version {major}; {OLDEST_MAJOR} or newer is needed: upgrade it, "
            "or leave --postgres away to use the one that comes with Runstone."
        )


def postgres_address(dsn: str) -> str:
    """``host:port/database`` of *dsn*, which has no password in it.

    Raises:
        InvalidInputError: it is no such address.
    """
    parts = urllib.parse.urlsplit(dsn)
    try:
        port = parts.port or 5432
    except ValueError:
        port = 0
    if parts.scheme not in {"postgres", "postgresql"} or not port:
        raise InvalidInputError(
            "--postgres is no address: expected postgresql://user:password@host:port/database."
        )
    return f"{host_port(parts.hostname or 'localhost', port)}{parts.path}"
