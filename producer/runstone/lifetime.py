"""What happens when the training process ends, is killed, or forks.

Installed when the first session is made: an atexit hook (ends open runs, starts a sender where one is
needed), a chained ``sys.excepthook`` and ``sys.exit`` (why the process ends), and a SIGTERM handler, only
from the main thread and only where nobody handles SIGTERM. That handler takes no lock: it stores the
signal's number in the session's ``cause``, waits for a sender's launch in progress, and lets the signal kill
the process; the sender publishes KILLED.

After a fork the child keeps none of it: sessions and runs are told to forget, the hooks look at the pid.

Limits: an uncaught ``raise SystemExit(3)`` in place of ``sys.exit(3)``, outside of a ``with`` block of the
run, cannot be told from a normal end.
"""

import atexit
import os
import signal
import sys
import threading
import weakref
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, Protocol

from runstone.configuration import Configuration
from runstone.context import SlowFacts
from runstone.inputs import clean
from runstone.spool.session import Session

CONTEXT_S: Final = 0.5
"""How long the exit of a process that lived shorter than its context took to gather waits for it."""

REASON_MOST: Final = 2000
"""Characters of the reason a run failed for."""


class Forkable(Protocol):
    """What has locks or memories that a child must not inherit."""

    def forked(self) -> None:
        """This process is a child of the one that made it."""


class OpenRun(Forkable, Protocol):
    """What this module needs of a run."""

    def end(self, status: str = "FINISHED", reason: str = "") -> None:
        """End it."""


slow_facts: Final = SlowFacts()
_sessions: Final[dict[tuple[Path, str, bool], Session]] = {}
_open_runs: Final[list[OpenRun]] = []
_inherited: Final[list[OpenRun]] = []
_clients: Final["weakref.WeakSet[Forkable]"] = weakref.WeakSet()
_lock = threading.Lock()
_hooked_pid = 0
_failure = ""


def session_of(configuration: Configuration) -> Session:
    """This process's session for a destination; all clients with the same one share it."""
    key = configuration.spool, configuration.tracking_uri, configuration.disabled
    with _lock:
        if key not in _sessions:
            _sessions[key] = Session(
                configuration.spool,
                configuration.tracking_uri,
                limit=configuration.spool_limit,
                artifact_limit=configuration.artifact_spool_limit,
                offline=configuration.offline,
                disabled=configuration.disabled,
            )
            _install()
        return _sessions[key]


def watch(client: Forkable) -> None:
    """Tell *client* in a child after a fork, as long as it lives."""
    _clients.add(client)


def opened(run: OpenRun) -> None:
    """End *run* when the process ends."""
    global _failure  # noqa: PLW0603  # a process has one fate
    _failure = ""  # whatever was about to end the process did not
    _open_runs.append(run)


def closed(run: OpenRun) -> None:
    """It has ended."""
    for runs in (_open_runs, _inherited):
        if run in runs:
            runs.remove(run)


def describe(error: BaseException | None, cls: type[BaseException]) -> str:
    """An exception as the reason of a failure: its type and message."""
    try:
        message = str(error)
    except Exception:  # a foreign exception's __str__ may raise anything
        message = ""
    return clean(f"{cls.__name__}: {message}".removesuffix(": "), REASON_MOST)


def exit_reason(code: object) -> str:
    """Why a process that leaves with *code* failed; empty where it did not."""
    if code is None or code == 0:
        return ""
    return clean(f"exit code {code}" if isinstance(code, int) else str(code), REASON_MOST)


def _install() -> None:
    global _hooked_pid  # noqa: PLW0603  # a process has one set of hooks
    if _hooked_pid == os.getpid():
        return
    if _hooked_pid == 0:
        atexit.register(_at_exit)
        _chain_excepthook()
        _chain_exit()
        if threading.current_thread() is threading.main_thread() and _default_sigterm():
            signal.signal(signal.SIGTERM, _on_sigterm)
        _hooked_pid = os.getpid()


def _default_sigterm() -> bool:
    return signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def _chain_excepthook() -> None:
    previous = sys.excepthook

    def hook(cls: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        global _failure  # noqa: PLW0603  # a process has one fate
        if not hasattr(sys, "ps1"):  # at a prompt it ends nothing
            _failure = describe(error, cls)
        previous(cls, error, trace)

    sys.excepthook = hook


def _chain_exit() -> None:
    previous = sys.exit

    def leave(status: Any = None, /) -> Any:
        global _failure  # noqa: PLW0603  # a process has one fate
        if threading.current_thread() is threading.main_thread():
            _failure = exit_reason(status)
        previous(status)

    sys.exit = leave


def _at_exit() -> None:
    if os.getpid() != _hooked_pid:
        return
    for run in reversed(list(_open_runs)):
        if _failure:
            run.end("FAILED", _failure)
        else:
            run.end()
    slow_facts.finish(CONTEXT_S)
    for session in _sessions.values():
        session.finish()


def _on_sigterm(number: int, _frame: FrameType | None) -> None:
    if os.getpid() == _hooked_pid:
        for session in list(_sessions.values()):
            session.mark_cause(number)
        for session in list(_sessions.values()):
            session.launcher.settle()  # a process killed as soon as it began would leave nobody to deliver it
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _after_fork_in_child() -> None:
    global _lock, _failure  # noqa: PLW0603  # the parent's lock may be held by a thread that is not here
    _lock = threading.Lock()
    _failure = ""
    slow_facts.forget()
    for session in _sessions.values():
        session.forget()
    _inherited.extend(_open_runs)
    _open_runs.clear()
    for each in (*_inherited, *_clients):
        each.forked()
    if _hooked_pid and signal.getsignal(signal.SIGTERM) is _on_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


os.register_at_fork(after_in_child=_after_fork_in_child)
