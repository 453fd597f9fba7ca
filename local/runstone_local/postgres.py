"""One real Postgres server with its data in a folder, reachable on loopback with a password of its own.

It listens on 127.0.0.1 only and on no socket file; the password is random, made with the folder and kept
beside it, readable by its owner alone. As root the server runs as an unprivileged account, which owns the
database's folder and nothing else.
"""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runstone_local import child, postgres_install, process_identity
from runstone_local.exceptions import CannotStartError
from runstone_local.layout import DataFolder
from runstone_local.service_user import may_enter, service_user

DATABASE: Final = "runstone"
USER: Final = "runstone"

_INITDB_PATIENCE: Final = 60.0
_START_PATIENCE: Final = 60.0
_STOP_PATIENCE: Final = 20.0
_STATUS_LINE: Final = 7

SETTINGS: Final[Mapping[str, str]] = {
    "max_connections": "60",  # workers and the API's pool, with room for psql and Grafana
    "shared_buffers": "256MB",  # the hot indexes of a tracker; the page cache holds the rest
    "max_wal_size": "4GB",  # bulk loading would otherwise force a checkpoint every few seconds
    "wal_compression": "on",  # page images after a checkpoint are most of the WAL
    "checkpoint_completion_target": "0.9",
    "jit": "off",  # compiling costs more than these queries take
    "random_page_cost": "1.1",  # solid-state disks
    "timezone": "UTC",
    "log_timezone": "UTC",
}
"""What differs from Postgres' defaults. synchronous_commit stays on: a checkpoint may rely on it."""


class PostgresServer:
    """One server whose data lies in ``data.postgres``; *settings* are added to ``SETTINGS``."""

    name = "postgres"

    def __init__(self, data: DataFolder, port: int, settings: Mapping[str, str] | None = None) -> None:
        self.data = data
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self.log = data.log("postgres")
        self._settings = {**SETTINGS, **(settings or {})}
        self._user = service_user(data.postgres)
        version_file = data.postgres / "PG_VERSION"
        major = int(version_file.read_text()) if version_file.exists() else None
        self._install = postgres_install.reachable_by(postgres_install.find(major), self._user)

    def dsn(self, database: str = DATABASE) -> str:
        """The address for asyncpg, with the password."""
        return f"postgresql://{USER}:{self._password()}@127.0.0.1:{self.port}/{database}"

    @property
    def major(self) -> int:
        return self._install.major

    async def prepare(self) -> None:
        """Create the database's folder unless it is there, and clear away what a killed server left.

        Raises:
            CannotStartError: the account that runs Postgres cannot reach the folder, or initdb failed.
        """
        if not may_enter(self._user, self.data.path):
            assert self._user is not None
            raise CannotStartError(
                f"As root, Postgres runs as '{self._user.name}', who cannot reach {self.data.path}: choose "
                "a folder below /var/lib (--data), or run this command as a normal user."
            )
        if (self.data.postgres / "PG_VERSION").exists():
            self._clear_stale_pid()
            return
        fresh = self.data.path / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        given = self.data.path / "postgres.password.initdb"
        try:
            _write_private(given, self._password())
            if self._user is not None:
                os.chown(fresh, self._user.uid, self._user.gid)
                os.chown(given, self._user.uid, self._user.gid)
            await self._initdb(fresh, given)
        finally:
            given.unlink(missing_ok=True)
        fresh.replace(self.data.postgres)

    def start(self) -> "subprocess.Popen[bytes]":
        """Start the server."""
        options = {"port": str(self.port), "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
        return child.spawn(
            [
                self._install.bin / "postgres",
                *("-D", self.data.postgres),
                *(f"--{name}={value}" for name, value in {**options, **self._settings}.items()),
            ],
            log=self.log,
            death_signal=signal.SIGINT,  # a fast shutdown
            environment=_environment(),
            user=self._user,
            folder=Path("/"),
        )

    async def is_ready(self, running: "subprocess.Popen[bytes]") -> bool:
        """Whether the server takes connections, by what it writes into its own pid file."""
        lines = self._pid_file_lines()
        # one that was killed has left a file that says so of itself
        ours = bool(lines) and lines[0].strip() == str(running.pid)
        return ours and len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready"

    async def wait_ready(self, running: "subprocess.Popen[bytes]") -> None:
        """Return once connections are taken and the database exists.

        Raises:
            CannotStartError: the server ended or took a minute.
        """
        await child.wait_ready(
            running, lambda: self.is_ready(running), name="postgres", log=self.log, patience=_START_PATIENCE
        )
        await create_database(self.dsn("postgres"), DATABASE)

    async def stop(self, running: "subprocess.Popen[bytes]") -> None:
        """Stop the server: open transactions are rolled back, and the next start needs no recovery."""
        await child.end(running, signal.SIGINT, _STOP_PATIENCE)

    async def _initdb(self, folder: Path, password_file: Path) -> None:
        # the same order of texts on every machine, whatever its locales
        locale = (
            ["--locale-provider=builtin", "--locale=C.UTF-8"] if self._install.major >= 17 else ["--locale=C"]
        )
        making = await asyncio.create_subprocess_exec(
            str(self._install.bin / "initdb"),
            *("-D", str(folder), "-U", USER, f"--pwfile={password_file}", "--auth=scram-sha-256"),
            *("--encoding=UTF8", *locale),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=_environment(),
            cwd="/",
            user=None if self._user is None else self._user.uid,
            group=None if self._user is None else self._user.gid,
            extra_groups=None if self._user is None else [],
        )
        try:
            _, said = await asyncio.wait_for(making.communicate(), _INITDB_PATIENCE)
        finally:
            if making.returncode is None:
                making.kill()
                await making.wait()
        if making.returncode != 0:
            lines = dict.fromkeys(said.decode(errors="replace").strip().splitlines())
            why = "; ".join(line for line in lines if not line.startswith("initdb: removing"))
            raise CannotStartError(f"Postgres could not create its folder {self.data.postgres}: {why}")

    def _password(self) -> str:
        file = self.data.postgres_password
        if not file.exists():
            _write_private(file, secrets.token_hex(16))
        return file.read_text()

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self.data.postgres / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _clear_stale_pid(self) -> None:
        # Whoever calls this holds the folder's lock and has ended its orphans, so a pid file is a killed
        # server's. Postgres sees that by itself unless the pid belongs to another program by now.
        lines = self._pid_file_lines()
        if lines and process_identity.started(int(lines[0])) is not None:
            (self.data.postgres / "postmaster.pid").unlink(missing_ok=True)


async def create_database(admin_dsn: str, name: str, *, template: str | None = None) -> None:
    """Create the database *name*, a copy of *template* if given, unless it exists."""
    import asyncpg  # noqa: PLC0415  a tenth of a second, while the server is starting anyway

    connection = await asyncpg.connect(admin_dsn)
    try:
        copied = f' TEMPLATE "{template}"' if template else ""
        await connection.execute(f'CREATE DATABASE "{name}"{copied}')
    except asyncpg.DuplicateDatabaseError:
        pass
    finally:
        await connection.close()


async def drop_database(admin_dsn: str, name: str) -> None:
    """Drop the database *name* and every connection to it."""
    import asyncpg  # noqa: PLC0415  as above

    connection = await asyncpg.connect(admin_dsn)
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await connection.close()


def _environment() -> dict[str, str]:
    # PG* of the caller would redirect the programs; messages in English are what _initdb quotes
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C"}


def _write_private(file: Path, text: str) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:  # noqa: PTH123  opened with a mode
        out.write(text)
