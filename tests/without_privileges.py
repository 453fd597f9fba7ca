"""Running a program that file permissions hold for, also where the tests run as root."""

import ctypes
import subprocess
from pathlib import Path

_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """What the program says, and how it ends."""
    libc = ctypes.CDLL(None)

    def drop() -> None:
        for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # refused where there are none: well

    return subprocess.run(  # between fork and exec the child does two system calls
        command, check=False, capture_output=True, text=True, timeout=60, preexec_fn=drop
    )
