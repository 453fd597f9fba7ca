"""A training program in a process of its own, seen from what it leaves in the spool.

- ``train``: starts a program with a spool of its own (``tmp_path``), offline unless told otherwise (`Training`).
- ``sender``: the sender of that spool, ended when the test is over (`SenderOf`).
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runstone.spool.layout import this_machine
from tests.spool_contents import assert_dense, events, run_streams, spool_records

DEADLINE = 30

UNTIL_SIGNALLED = "while True: time.sleep(0.1)"
"""Not ``signal.pause()``: a signal that comes after Python's last look and before that call is handled by
Python only when the call returns, which is never."""


class Training:
    """A training script in a process of its own, with a spool of its own."""

    def __init__(self, root: Path, program: str, **environment: str) -> None:
        self.root = root
        plain = {k: v for k, v in os.environ.items() if not k.startswith("RUNSTONE_")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program)],
            env=plain
            | {
                "RUNSTONE_SPOOL": str(root),
                "RUNSTONE_OFFLINE": "1",
                "RUNSTONE_EXIT_TIMEOUT": "0",
                "RUNSTONE_TRACKING_URI": "http://127.0.0.1:9",
            }
            | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """The next line it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> tuple[int, str]:
        """Exit code and stderr, once it is gone."""
        _out, err = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, err


@pytest.fixture
def train(tmp_path: Path) -> Iterator[Callable[..., Training]]:
    started: list[Training] = []

    def start(program: str, **environment: str) -> Training:
        started.append(Training(tmp_path, program, **environment))
        return started[-1]

    yield start
    for training in started:
        if training.process.poll() is None:
            training.process.kill()
        training.process.communicate()


def ended(root: Path) -> list[dict[str, Any]]:
    records = spool_records(root)
    assert_dense(records)
    return events(records, run_streams(records)[0], "run_ended")


def is_locked(folder: Path) -> bool:
    with (folder / "lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)


class SenderOf:
    """The sender of a spool, ended when a test is over."""

    def __init__(self, root: Path) -> None:
        self.machine = this_machine(root)

    def pid(self) -> int:
        with self.machine.sender_lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                try:
                    return int(json.loads(self.machine.sender_json.read_bytes())["pid"])
                except FileNotFoundError:  # it has not said so yet
                    return 0
        return 0


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[SenderOf]:
    found = SenderOf(tmp_path)
    yield found
    try:
        pid = found.pid()
    except OSError:
        return
    if pid:
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not found.pid())
