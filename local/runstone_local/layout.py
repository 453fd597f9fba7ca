"""Where everything lies: the cache that all installations of a user share, and one installation's data.

The cache can be deleted at any time (it is fetched again), the data folder is the installation itself.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT_FOLDER: Final = Path("/var/lib/runstone")
"""What root uses in place of its home, which the database's account may not enter."""


def cache_folder() -> Path:
    """``RUNSTONE_CACHE``, else ``$XDG_CACHE_HOME/runstone``, else ``~/.cache/runstone``."""
    if named := os.environ.get("RUNSTONE_CACHE"):
        return Path(named).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "runstone"


def default_data_folder() -> Path:
    """``RUNSTONE_DATA``, else (root) ``/var/lib/runstone/data``, else ``~/.local/share/runstone``."""
    if named := os.environ.get("RUNSTONE_DATA"):
        return Path(named).expanduser().absolute()
    if os.geteuid() == 0:
        return ROOT_FOLDER / "data"
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "runstone"


@dataclass(frozen=True, slots=True)
class DataFolder:
    """One installation's folder and the names in it."""

    path: Path

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def state(self) -> Path:
        return self.path / "state.json"

    @property
    def ports(self) -> Path:
        return self.path / "ports.json"

    @property
    def artifacts(self) -> Path:
        return self.path / "artifacts"

    @property
    def kafka(self) -> Path:
        return self.path / "kafka"

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def postgres_password(self) -> Path:
        return self.path / "postgres.password"

    def log(self, part: str) -> Path:
        return self.path / "logs" / f"{part}.log"

    def own_artifacts(self) -> str:
        """The artifact store that this installation has unless another is named; made on the way."""
        self.artifacts.mkdir(mode=0o700, exist_ok=True)
        return str(self.artifacts)

    def create(self) -> None:
        """Make the folder unless it is there.

        As root it is opened for passing through, which the database's account needs, and so are folders
        above that did not exist; those that did are never changed.
        """
        as_root = os.geteuid() == 0
        for folder in reversed([path for path in (self.path, *self.path.parents) if not path.exists()]):
            folder.mkdir(mode=0o700, exist_ok=True)
            if as_root:
                folder.chmod(0o711 if folder == self.path else 0o755)
        if as_root:
            self.path.chmod(stat.S_IMODE(self.path.stat().st_mode) | 0o011)
        (self.path / "logs").mkdir(mode=0o700, exist_ok=True)
