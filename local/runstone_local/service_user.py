"""The account that runs Postgres when Runstone itself is run by root, since Postgres refuses to be root."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runstone_local.exceptions import CannotStartError

_CANDIDATES: Final = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class ServiceUser:
    """An unprivileged account of this machine."""

    name: str
    uid: int
    gid: int


def service_user(existing: Path) -> ServiceUser | None:
    """The account to run Postgres as, or None when we are not root and it runs as ourselves.

    An *existing* database folder keeps its owner, so that another account that appears later changes nothing.
    """
    if os.geteuid() != 0:
        return None
    if existing.exists() and (owner := existing.stat().st_uid) != 0:
        entry = pwd.getpwuid(owner)
        return ServiceUser(entry.pw_name, entry.pw_uid, entry.pw_gid)
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServiceUser(name, entry.pw_uid, entry.pw_gid)
    raise CannotStartError(
        "Postgres cannot run as root, and this machine has neither an account 'postgres' nor 'nobody': "
        "run this command as a normal user."
    )


def may_enter(user: ServiceUser | None, path: Path) -> bool:
    """Whether *user* can reach and execute (or pass through) *path*; asked of the kernel, so ACLs count."""
    if user is None:
        return os.access(path, os.X_OK)
    tried = subprocess.run(
        ["test", "-x", str(path)], user=user.uid, group=user.gid, extra_groups=[], cwd="/", check=False
    )
    return tried.returncode == 0
