"""The process that a replay has of its own: ``runstone worker --generation NAME``, left to itself.

It outlives the command that started it and belongs to nobody, like any service, until the generation has
caught up and the installation's own workers have taken their part of it: then it leaves it to them. Where
there are none, it goes on. Its log lies in the state folder of the user, a file a generation.
"""

import os
import subprocess
import sys
from pathlib import Path


def log_file(generation: str) -> Path:
    """Where the worker of *generation* says what it says."""
    base = os.environ.get("XDG_STATE_HOME")
    folder = (Path(base) if base else Path.home() / ".local" / "state") / "runstone" / "replay"
    return folder / f"{generation}.log"


def spawn(generation: str) -> "tuple[subprocess.Popen[bytes], Path]":
    """Start the worker of *generation* with this process's environment: the process, and its log."""
    log = log_file(generation)
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "runstone.cli", "worker", "--generation", generation, "--hand-over"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
    return process, log


def last_line(log: Path) -> str:
    """What it said last."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "nothing")
