"""Runstone's own services as parts: the installed ``runstone`` commands as child processes."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from runstone_local import child

_START_PATIENCE: Final = 60.0
_STOP_PATIENCE: Final = 8.0
"""Seconds; services stop within five by themselves."""


class Service:
    """``runstone NAME ARGUMENTS``, in this process's environment; ready when it prints that it is."""

    def __init__(self, name: str, arguments: Sequence[str], *, address: str | None, log: Path) -> None:
        self.name = name
        self.address = address
        self.log = log
        self._arguments = arguments
        self._log_position = 0

    async def prepare(self) -> None:
        """Nothing needs to be there before a service starts."""

    def start(self) -> "subprocess.Popen[bytes]":
        """Start the command."""
        child.turn_over(self.log)
        self._log_position = self.log.stat().st_size if self.log.exists() else 0
        return child.spawn(
            [sys.executable, "-m", "runstone.cli", self.name, *self._arguments],
            log=self.log,
            death_signal=signal.SIGTERM,
        )

    async def is_ready(self) -> bool:
        """Whether it has printed ``runstone NAME: ready`` since it was started."""
        with self.log.open("rb") as file:
            file.seek(self._log_position)
            return f"runstone {self.name}: ready".encode() in file.read()

    async def wait_ready(self, running: "subprocess.Popen[bytes]") -> None:
        """Return once it serves; CannotStartError when it ends or takes a minute."""
        await child.wait_ready(running, self.is_ready, name=self.name, log=self.log, patience=_START_PATIENCE)

    async def stop(self, running: "subprocess.Popen[bytes]") -> None:
        """Ask it to stop, and kill it when it does not."""
        await child.end(running, signal.SIGTERM, _STOP_PATIENCE)
