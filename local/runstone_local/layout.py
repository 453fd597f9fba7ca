"""Where everything lies: the cache that all installations of a user share, and one installation's data.

The cache can be deleted at any time (it is fetched again), the data folder is the installation itself.
"""

import os
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

    def create(self) -> None:
        """Make the folder, closed to other users but for passing through.

        Passing through (0711) is what the database's account needs when root runs it. Folders above are
        made if missing and otherwise never changed.
        """
        self.path.mkdir(mode=0o711, parents=True, exist_ok=True)
        (self.path / "logs").mkdir(mode=0o700, exist_ok=True)
