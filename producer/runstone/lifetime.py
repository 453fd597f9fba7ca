"""What happens when the training process ends, is killed, or forks.

Installed when the first session is made: an atexit hook (ends open runs, starts a sender where one is
needed, waits where the spool goes with the process, see `leaving`), a chained ``sys.excepthook`` and
``sys.exit`` (why the process ends), and a SIGTERM handler, only from the main thread and only where nobody
handles SIGTERM, neither in Python nor in C. That handler takes no lock for good: it stores the signal's
number in the session's ``cause`` and lets the signal kill the process; the sender publishes KILLED. Where the
spool, and the sender, go with the process, it says so itself and waits.

At the exit runs are not closed: other exit hooks and threads that go on may log, and what they say is taken
behind the run's end. A run that somebody starts there is ended at once.

A child after a fork keeps of it: its own sessions begin with its first record, the runs that it has started
itself are ended when it comes to its end, of the parent's runs only its part, and SIGTERM kills it as ever.
Children of ``multiprocessing``, however started, leave without atexit, so they get a finaliser of its own,
and SIGTERM kills them as ever, too: a handler in Python is not called where the signal comes just before a
call that waits for ever, and a pool that is terminated would wait for such a worker.

Limits: an uncaught ``raise SystemExit(3)`` in place of ``sys.exit(3)``, outside of a ``with`` block of the
run, cannot be told from a normal end; ``os._exit`` runs none of this.
"""

import atexit
import os
import signal
import sys
import threading
import weakref
from pathlib import Path
from time import monotonic
from types import FrameType, TracebackType
from typing import Any, Final, Protocol

from runstone import leaving, notices
from runstone.configuration import Configuration
from runstone.context import SlowFacts
from runstone.inputs import clean
from runstone.spool.forking import renew
from runstone.spool.session import Session

CONTEXT_S: Final = 0.5
"""How long the exit of a process that lived shorter than its context took to gather waits for it."""

REASON_MOST: Final = 2000
"""Characters of the reason a run failed for."""

_STATUS: Final = Path("/proc/self/status")


class Forkable(Protocol):
    """What has locks or memories that a child must not inherit."""

    def forked(self) -> None:
        """This process is a child of the one that made it."""


class OpenRun(Forkable, Protocol):
    """What this module needs of a run."""

    def conclude(self, status: str = "FINISHED", reason: str = "") -> None:
        """Say how it ended, and take what is logged afterwards all the same."""


slow_facts: Final = SlowFacts()
_sessions: Final[dict[tuple[Path, str, bool], Session]] = {}
_exit_timeouts: Final[dict[Session, float | None]] = {}
_open_runs: Final[list[OpenRun]] = []
_inherited: Final[list[OpenRun]] = []
_clients: Final["weakref.WeakSet[Forkable]"] = weakref.WeakSet()
_lock = threading.RLock()
_hooked = False
_is_left = False
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
                opened=_settle_in,
            )
            _exit_timeouts[_sessions[key]] = configuration.exit_timeout
            _install()
        return _sessions[key]


def watch(client: Forkable) -> None:
    """Tell *client* in a child after a fork, as long as it lives."""
    _clients.add(client)


def watching() -> list[Forkable]:
    """The clients that live."""
    return list(_clients)


def opened(run: OpenRun) -> None:
    """End *run* when the process ends."""
    global _failure  # noqa: PLW0603  # a process has one fate
    _failure = ""  # whatever was about to end the process did not
    _open_runs.append(run)
    if _is_left:
        run.conclude()


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


def at_a_prompt() -> bool:
    """Whether a person types, into a terminal or a notebook: an exception ends no process there."""
    return hasattr(sys, "ps1")


def exit_reason(code: object) -> str:
    """Why a process that leaves with *code* failed; empty where it did not."""
    if code is None or code == 0:
        return ""
    return clean(f"exit code {code}" if isinstance(code, int) else str(code), REASON_MOST)


def _install() -> None:
    global _hooked, _is_left  # noqa: PLW0603  # a process has one set of hooks
    if _hooked:
        return
    _hooked = True
    if getattr(threading, "_SHUTTING_DOWN", False):  # an exit hook logs first: those added now are not run
        _is_left = True
    atexit.register(_at_exit)
    _chain_excepthook()
    _chain_exit()
    if threading.current_thread() is threading.main_thread() and _default_sigterm() and not _is_worker():
        signal.signal(signal.SIGTERM, _on_sigterm)


def _settle_in() -> None:
    """This process has appended its first record: see to it that its end is noticed."""
    if _is_worker():
        from multiprocessing.util import Finalize  # noqa: PLC0415  # it is there where its child runs

        Finalize(None, _at_worker_exit, exitpriority=0)


def _is_worker() -> bool:
    """Whether this is a child of multiprocessing."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def _default_sigterm() -> bool:
    """Whether SIGTERM simply kills: Python does not know of handlers that a library installed in C."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return False
    bit = 1 << (signal.SIGTERM - 1)
    try:
        lines = _STATUS.read_text().splitlines()
        return not any(int(line[7:], 16) & bit for line in lines if line.startswith(("SigCgt:", "SigIgn:")))
    except (OSError, ValueError):
        return True


def _chain_excepthook() -> None:
    previous = sys.excepthook

    def hook(cls: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        global _failure  # noqa: PLW0603  # a process has one fate
        if not at_a_prompt():
            _failure = describe(error, cls)
        previous(cls, error, trace)

    sys.excepthook = hook


def _chain_exit() -> None:
    previous = sys.exit

    def leave(status: Any = None, /) -> Any:
        global _failure  # noqa: PLW0603  # a process has one fate
        if threading.current_thread() is threading.main_thread() and not at_a_prompt():
            _failure = exit_reason(status)
        previous(status)

    sys.exit = leave


def _at_exit() -> None:
    """End the open runs, see that a sender is there, wait where nobody could deliver later. Never raises."""
    global _is_left  # noqa: PLW0603  # a process leaves once
    if _is_left:
        return
    _is_left = True
    began = monotonic()
    try:
        _conclude("FAILED" if _failure else "FINISHED", _failure)
        slow_facts.finish(CONTEXT_S)
        leaving.leave(_exit_timeouts, began)
    except Exception as wrong:  # whatever it is, the exit of a training is not ours to disturb
        notices.warn_once("exit", f"something went wrong at the exit ({describe(wrong, type(wrong))})")
    except KeyboardInterrupt:  # somebody has no time
        pass


def _at_worker_exit() -> None:
    """The same for a child of multiprocessing, which tells by an exception in flight that it failed."""
    global _failure  # noqa: PLW0603  # a process has one fate
    cls, error, _trace = sys.exc_info()
    if cls is not None and not _failure:
        failed = exit_reason(error.code) if isinstance(error, SystemExit) else describe(error, cls)
        _failure = failed
    _at_exit()


def _conclude(status: str, reason: str) -> None:
    for run in reversed([*_inherited, *_open_runs]):  # of the former only this process's part ends
        try:
            run.conclude(status, reason)
        except Exception as wrong:  # one run must not keep the others from their end
            notices.warn_once("exit", f"a run was not ended ({describe(wrong, type(wrong))})")


def _on_sigterm(number: int, _frame: FrameType | None) -> None:
    try:
        _leave_by(number)
    finally:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _leave_by(number: int) -> None:
    for session in list(_sessions.values()):
        session.mark_cause(number)
    waiting = {session: most for session, most in _exit_timeouts.items() if leaving.must_wait(session, most)}
    if waiting and all(session.writer.interruptible() for session in waiting):
        if not _is_left:  # else it has said already how it ended
            _conclude("KILLED", f"the process was ended by {signal.Signals(number).name}")
        leaving.wait(waiting, monotonic(), leaving.SIGTERM_S)


def _after_fork_in_child() -> None:
    global _failure, _is_left  # noqa: PLW0603  # a process has one fate
    renew(_lock)
    _failure = ""
    _is_left = False
    _inherited.extend(_open_runs)
    _open_runs.clear()
    for forget in (
        slow_facts.forget,
        *(session.forget for session in _sessions.values()),
        *(each.forked for each in (*_inherited, *_clients)),
    ):
        try:
            forget()
        except Exception as wrong:  # the others must forget all the same
            notices.warn_once("fork", f"a fork was not noticed everywhere ({describe(wrong, type(wrong))})")
    if _hooked and signal.getsignal(signal.SIGTERM) is _on_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


os.register_at_fork(after_in_child=_after_fork_in_child)
