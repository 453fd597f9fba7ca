"""Starting the machine's sender where none is there.

`Launcher.check` is called when a session begins, before its first record is taken, and then by training
threads about once a second; it costs a few system calls. A launch is one ``posix_spawn`` of ``python -m
runstone.sender`` in the calling thread, about a millisecond: when it returns, the sender-to-be is in a
session of its own and outlives whatever happens to this process. So nothing that a call has returned waits
for a sender that was never started. It forks itself away at once; a daemon thread waits for that short-lived
parent, so that no zombie stays. Two clients may launch at the same moment; the sender's lock lets one of
them stay.
"""

import fcntl
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Final

import orjson

from runstone import notices
from runstone.spool.forking import no_fork
from runstone.spool.layout import MachineFolder

PAUSE_S: Final = 2.0
"""Between two launches; it doubles up to `PAUSE_MOST_S` while senders do not stay."""
PAUSE_MOST_S: Final = 60.0

SETTINGS: Final = {"MALLOC_MMAP_THRESHOLD_": "65536"}
"""For the sender's environment: glibc then gives larger blocks back. A heap that keeps them is a third larger
after a backlog, for ever; and set by the program itself it does not help any more."""


class Launcher:
    """Keeps a sender alive for one spool folder."""

    def __init__(self, root: Path, machine: MachineFolder, *, offline: bool) -> None:
        self._root = root
        self._machine = machine
        self._offline = offline
        self.forget()

    def forget(self) -> None:
        """In the child after a fork: a launch of the parent is not the child's."""
        self._guard = threading.Lock()
        self._not_before = 0.0
        self._pause = PAUSE_S

    def needed(self) -> bool:
        """Whether no sender is there, or the one that is there is leaving."""
        with no_fork():
            try:
                descriptor = os.open(self._machine.sender_lock, os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                return True
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return self._leaving()
            except OSError:
                return True
            finally:
                os.close(descriptor)
        return True

    def nobody(self) -> bool:
        """Whether no sender is there and none will be started: waiting for one is in vain."""
        return self._offline and self.needed()

    def _leaving(self) -> bool:
        try:
            return bool(orjson.loads(self._machine.sender_json.read_bytes()).get("state") == "leaving")
        except (OSError, ValueError, AttributeError):
            return False

    def check(self) -> None:
        """Launch a sender where one is needed, unless that was tried a moment ago."""
        if self._offline or not self._guard.acquire(blocking=False):
            return
        try:
            now = time.monotonic()
            if now < self._not_before:
                return
            if not self.needed():
                self._pause = PAUSE_S
                return
            self._not_before = now + self._pause
            self._pause = min(self._pause * 2, PAUSE_MOST_S)
            self._launch()
        finally:
            self._guard.release()

    def finish(self) -> None:
        """At exit: where a sender is needed after all, start it."""
        self.check()

    def _launch(self) -> None:
        if not sys.executable:
            notices.warn_once("sender", "no sender can be started here: this program embeds Python")
            return
        command = [sys.executable, "-P", "-m", "runstone.sender", "--spool", str(self._root)]
        try:
            pid = _spawn(command)
        except OSError as wrong:
            notices.warn_once(
                "sender", f"the sender could not be started ({wrong}); the spool keeps the data"
            )
            return
        try:
            threading.Thread(
                target=self._wait, args=(pid, command), name="runstone-launch", daemon=True
            ).start()
        except RuntimeError:
            pass  # the interpreter is going down and starts no thread any more

    def _wait(self, pid: int, command: list[str]) -> None:
        try:
            _pid, status = os.waitpid(pid, 0)
        except OSError:
            return  # the program waits for all its children itself
        code = os.waitstatus_to_exitcode(status)
        if code > 0:
            notices.warn_once(
                "sender",
                f"the sender ended at once with exit code {code}; the spool keeps the data. "
                f"See {self._machine.sender_log}, or run: {' '.join(command)}",
            )


def _spawn(command: list[str]) -> int:
    """Start a program without terminal, in a session of its own, with nothing of ours open; its pid.

    Not by ``subprocess``: that is slow to import, and a child that another thread forks meanwhile would
    inherit its pipe.

    Raises:
        OSError: it cannot be started.
    """
    path = os.pathsep.join(filter(None, (str(_home()), os.environ.get("PYTHONPATH"))))

    def spawn(*, setsid: bool) -> int:
        return os.posix_spawn(
            command[0],
            command,
            SETTINGS | os.environ | {"PYTHONPATH": path},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
                (os.POSIX_SPAWN_DUP2, 0, 1),
                (os.POSIX_SPAWN_DUP2, 0, 2),
            ],
            setsid=setsid,
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ),
        )

    try:
        return spawn(setsid=True)
    except NotImplementedError:
        # Python was built for an old system; the sender does it itself, a little later.
        return spawn(setsid=False)


def _home() -> Path:
    """The folder that holds this very package: ``-m`` finds it there, even if nobody else does."""
    return Path(__file__).parents[2]
