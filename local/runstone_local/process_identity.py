"""Whether a pid that was written down is still the process it was: a pid is reused, its start time is not."""

import os
import subprocess
import sys
from pathlib import Path


def started(pid: int) -> str | None:
    """When *pid* was started, in the kernel's own terms, or None when there is no such process.

    A zombie counts as gone: it holds no port and no lock.
    """
    if sys.platform == "linux":
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    said = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, since = said.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else since.strip()


def is_same(pid: int, start: str | None) -> bool:
    """Whether *pid* runs and is the process that was started at *start*."""
    return pid != os.getpid() and start is not None and started(pid) == start
