"""Ends the senders that a test's clients have started: with something undelivered they would wait for ever."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_sender_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if folder is not None:
        for note in folder.rglob("sender.json"):
            _end(json.loads(note.read_bytes()).get("pid", 0))


def _end(pid: int) -> None:
    if _is_sender(pid):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 10
    while _is_sender(pid):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _is_sender(pid: int) -> bool:
    """Whether the process is a sender that lives: pids are used again, and a dead child may lie unreaped."""
    try:
        return b"runstone.sender" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
