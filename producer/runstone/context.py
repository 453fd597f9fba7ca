"""Where a run comes from: user, host, rank, script, and what is slow to find out (git, packages).

The quick facts travel with ``run_started``. The slow ones are gathered by a short-lived daemon thread that
appends them when it has them; `SlowFacts` holds them for the runs that follow in the same process.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from runstone.exceptions import RunstoneError
from runstone.inputs import clean
from runstone.spool.forking import no_fork, renew
from runstone.spool.session import user_name

FRESH_S: Final = 60.0
"""How long gathered facts serve further runs; a notebook's repository may move on."""

PACKAGES_MOST: Final = 3000
"""Installed distributions that are listed; keeps the event far below its limit."""

GIT_TIMEOUT_S: Final = 10.0

Facts = dict[str, Any]


def quick_context(rank: int) -> Facts:
    """What is known at once."""
    found: Facts = {
        "user": user_name(),
        "host": os.uname().nodename,
        "source": clean(source()),
        "python": ".".join(map(str, sys.version_info[:3])),
    }
    return found if rank < 0 else found | {"rank": rank}


def source() -> str:
    """The path of the program or notebook that runs, empty in another interactive session."""
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    if not file and "ipykernel" in sys.modules:
        file = getattr(main, "__vsc_ipynb_file__", None) or os.environ.get("JPY_SESSION_NAME")
    return os.path.abspath(file) if file else ""  # noqa: PTH100  # Path.resolve would follow links


def program_name() -> str:
    """A short name for the program that runs."""
    return Path(source()).stem or "session"


def slow_context() -> Facts:
    """What takes its time: the command line, the repository's state, the installed distributions."""
    with no_fork():
        import shlex  # noqa: PLC0415  # importing runstone must stay cheap

    command = shlex.join(getattr(sys, "orig_argv", sys.argv))
    return {"command": clean(command), "packages": packages(), **_repository()}


def packages() -> dict[str, str]:
    """Name and version of the distributions on ``sys.path``, by the names of their folders."""
    found: dict[str, str] = {}
    for entry in sys.path:
        try:
            names = [folder.name for folder in os.scandir(entry or ".")]
        except (OSError, TypeError, ValueError):  # a program may have put anything on its path
            continue
        for name in names:
            if name.endswith(".dist-info"):
                package, _, version = name.removesuffix(".dist-info").rpartition("-")
                if package and len(found) < PACKAGES_MOST:
                    found.setdefault(clean(package), clean(version))
    return dict(sorted(found.items()))


def _repository() -> Facts:
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return {}
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return {"git_commit": clean(commit.strip())} | ({} if changes is None else {"git_dirty": bool(changes)})


def _git(*arguments: str) -> str | None:
    """What git prints about the program's folder; None where there is no git, no repository, no answer."""
    with no_fork():
        import subprocess  # noqa: PLC0415  # importing runstone must stay cheap

    try:
        with no_fork():
            git = subprocess.Popen(
                ["git", *arguments],
                cwd=Path(source()).parent if source() else None,
                env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
    except OSError:
        return None
    with git:
        try:
            said, _ = git.communicate(timeout=GIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            git.kill()
            return None
    return said.decode(errors="replace") if git.returncode == 0 else None


class SlowFacts:
    """Gathers the slow facts once for many runs.

    One thread at a time, started by whoever asks first; callers' threads only add to the list of those who
    wait, under the lock, and are called back by the gathering thread without it. What fails there is not
    known then, and nobody is told: a training must not notice.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.forget()

    def forget(self) -> None:
        """In the child after a fork: the thread is the parent's."""
        renew(self._lock)
        self._waiting: list[Callable[[Facts], None]] = []
        self._thread: threading.Thread | None = None
        self._facts: Facts | None = None
        self._gathered = 0.0

    def give(self, take: Callable[[Facts], None]) -> None:
        """Hand the facts to *take*: at once where they are fresh, else when they have been gathered."""
        with self._lock:
            facts = self._facts
            if facts is None or time.monotonic() - self._gathered > FRESH_S:
                self._waiting.append(take)
                if self._thread is None:
                    thread = threading.Thread(target=self._gather, name="runstone-context", daemon=True)
                    with contextlib.suppress(
                        RuntimeError
                    ):  # no thread starts while the interpreter goes down
                        thread.start()
                        self._thread = thread
                return
        take(facts)

    def _gather(self) -> None:
        try:
            facts = slow_context()
        except Exception:  # the user's environment, path or repository may be anything
            facts = {}
        with self._lock:
            self._facts, self._gathered = facts, time.monotonic()
            waiting, self._waiting = self._waiting, []
            self._thread = None
        for take in waiting:
            with contextlib.suppress(RunstoneError):
                take(facts)

    def finish(self, timeout: float) -> None:
        """Wait at most *timeout* seconds for what is being gathered."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
