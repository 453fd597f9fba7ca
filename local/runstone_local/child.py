"""A child process: started so that it cannot outlive its parent, ended in a bounded time.

On Linux the kernel sends a child its *death signal* when the parent is gone, whatever killed it. Children
get a session of their own, so that Ctrl-C in a terminal reaches the parent alone, which stops them in order.
The kernel binds the death signal to the thread that started the child: start children from a thread that
lives as long as they should.
"""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from runstone_local.exceptions import CannotStartError
from runstone_local.service_user import ServiceUser

_PR_SET_PDEATHSIG: Final = 1
_LOG_MAX: Final = 16 * 1024 * 1024
_POLL_SECONDS: Final = 0.02
_TAIL_BYTES: Final = 4096

_libc: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def spawn(
    arguments: Sequence[str | Path],
    *,
    log: Path,
    death_signal: signal.Signals,
    environment: Mapping[str, str] | None = None,
    user: ServiceUser | None = None,
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program with its output appended to *log*, as *user* if one is given.

    *environment* replaces the parent's; *folder* is the working directory.
    """
    parent = os.getpid()

    def bind_to_parent() -> None:
        # runs after the change of user, which would clear the death signal
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    turn_over(log)
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=None if environment is None else dict(environment),
            cwd=folder,
            user=None if user is None else user.uid,
            group=None if user is None else user.gid,
            extra_groups=None if user is None else [],
            start_new_session=True,
            preexec_fn=bind_to_parent,  # noqa: PLW1509  one system call; the callers start children from one thread
        )


async def end(child: subprocess.Popen[bytes], stop_signal: signal.Signals, patience: float) -> int:
    """Ask *child* to stop, kill it after *patience* seconds, and return its exit code."""
    if child.poll() is None:
        child.send_signal(stop_signal)
        deadline = time.monotonic() + patience
        while child.poll() is None:
            if time.monotonic() > deadline:
                child.kill()
            await asyncio.sleep(_POLL_SECONDS)
    return child.wait()


async def wait_ready(
    child: subprocess.Popen[bytes],
    is_ready: Callable[[], Awaitable[bool]],
    *,
    name: str,
    log: Path,
    patience: float,
) -> None:
    """Return once *is_ready* says so.

    Raises:
        CannotStartError: the child ended, or *patience* seconds passed; with the last line of its log.
    """
    deadline = time.monotonic() + patience
    while not await is_ready():
        if child.poll() is not None:
            raise CannotStartError(
                f"{name} ended with code {child.returncode}: {last_line(log)} (all of it in {log})"
            )
        if time.monotonic() > deadline:
            raise CannotStartError(
                f"{name} does not answer after {patience:.0f} s: {last_line(log)} (see {log})"
            )
        await asyncio.sleep(_POLL_SECONDS)


def last_line(log: Path) -> str:
    """The last line of *log* that says something, for an error message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    except OSError:
        return "no log was written"
    return next((line for line in reversed(lines) if line), "it said nothing")


def turn_over(log: Path) -> None:
    """Put a large log aside; done when its program starts, since a running one holds the file open."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_MAX:
        log.replace(log.with_suffix(".log.1"))
