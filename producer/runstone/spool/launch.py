"""Starting the machine's sender where none is there.

`Launcher.check` is called by training threads about once a second and costs a few system calls. A launch
happens in a daemon thread: it starts ``python -m runstone.sender``, which forks itself away at once, and
waits for that short-lived parent, so that no zombie stays. Two clients may launch at the same moment; the
sender's lock lets one of them stay.
"""

import fcntl
import os
import sys
import threading
import time
from pathlib import Path
from typing import Final

import orjson

from runstone import notices
from runstone.spool.layout import MachineFolder

PAUSE_S: Final = 2.0
"""Between two launches; it doubles up to `PAUSE_MOST_S` while senders do not stay."""
from runstone.spool.forking import no_fork
PAUSE_MOST_S: Final = 60.0
SETTLE_S: Final = 10.0
"""How long the end of the process waits for a launch; it takes some 20 ms."""


class Launcher:
    """Keeps a sender alive for one spool folder."""

    def __init__(self, root: Path, machine: MachineFolder, *, offline: bool) -> None:
        self._root = root
        self._machine = machine
        self._offline = offline
        self.forget()

    def forget(self) -> None:
        """In the child after a fork: a launch of the parent is not the child's."""
        self._thread: threading.Thread | None = None
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
        """Launch a sender in the background where one is needed."""
        if self._offline or not self._guard.acquire(blocking=False):
            return
        try:
            now = time.monotonic()
            if now < self._not_before or (self._thread is not None and self._thread.is_alive()):
                return
            if not self.needed():
                self._pause = PAUSE_S
                return
            self._not_before = now + self._pause
            self._pause = min(self._pause * 2, PAUSE_MOST_S)
            self._thread = threading.Thread(target=self._launch, name="runstone-launch", daemon=True)
            self._thread.start()
        except RuntimeError:
            # The interpreter is going down and starts no thread any more: the exit hook launches itself.
            self._thread = None
        finally:
            self._guard.release()

    def settle(self) -> None:
        """Wait for a launch in progress, if any; takes no lock, so a signal handler may call it."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            thread.join(SETTLE_S)

    def finish(self) -> None:
        """At exit: wait for a launch in progress; where a sender is needed after all, start it here."""
        if self._thread is not None and self._thread.is_alive():
            self.settle()
        elif not self._offline and time.monotonic() >= self._not_before and self.needed():
            self._launch()

    def _launch(self) -> None:
        if not sys.executable:
            notices.warn_once("sender", "no sender can be started here: this program embeds Python")
            return
        try:
            import subprocess  # noqa: PLC0415  # importing runstone must stay cheap

            started = subprocess.Popen(
                [sys.executable, "-m", "runstone.sender", "--spool", str(self._root)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd=_home(),
            )
            started.wait()
        except (OSError, ImportError) as wrong:  # a process without free descriptors imports nothing either
            notices.warn_once(
                "sender", f"the sender could not be started ({wrong}); the spool keeps the data"
            )
            return
        if started.returncode > 0:
            notices.warn_once(
                "sender",
                f"the sender ended at once with exit code {started.returncode}; the spool keeps the data. "
                f"See {self._machine.sender_log}, or run: {sys.executable} -m runstone.sender "
                f"--spool {self._root}",
            )


def _home() -> Path:
    """The folder that holds this very package: ``-m`` finds it there, and nothing of the user's folder."""
    return Path(__file__).parents[2]
