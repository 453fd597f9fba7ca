"""``runstone up`` as a user starts it: a process of its own, with its lines read back.

- ``installation_folder``: a fresh folder that Postgres' account can reach, also when root runs the tests.
- ``start_up``: starts ``runstone up`` with arguments and gives an ``Up``; all are stopped at the test's end.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runstone_local.layout import ROOT_FOLDER
from runstone_local.ports import free_ports
from runstone_local.process_identity import started

PATIENCE = 60.0
"""Seconds: what a start, a stop or a restart may take on a busy machine."""

RUNSTONE = [sys.executable, "-m", "runstone.cli"]


def wait_until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, f"after {patience:g} s still not: {what}"
        time.sleep(0.02)
    return found


def get(url: str) -> tuple[int, Any]:
    """Status and JSON (or text) that *url* answers; 0 where nobody does."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            status, body = refused.code, refused.read()
    except OSError:
        return 0, None
    try:
        return status, json.loads(body)
    except ValueError:
        return status, body.decode()


class Up:
    """One running ``runstone up``."""

    def __init__(self, data: Path, arguments: list[str], environment: dict[str, str]) -> None:
        self.data = data
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self._output = data.parent / f"{data.name}.{self.port}.out"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [*RUNSTONE, "up", "--data", str(data), "--port", str(self.port), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | environment,
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_for_line(self, pattern: str) -> re.Match[str]:
        def found() -> re.Match[str] | None:
            match = re.search(pattern, self.output, re.MULTILINE)
            if match is None and self.process.poll() is not None:
                match = re.search(pattern, self.output, re.MULTILINE)
                assert match, (
                    f"ended with {self.process.returncode} before it said {pattern!r}:\n{self.output}"
                )
            return match

        return wait_until(found, f"a line {pattern!r} in:\n{self.output}")

    def wait_ready(self) -> float:
        """Wait until everything serves; the seconds it says that took."""
        return float(self.wait_for_line(r"^runstone up: ready after ([\d.]+) s")[1])

    def status(self) -> dict[str, Any]:
        said = subprocess.run(
            [*RUNSTONE, "status", "--data", str(self.data), "--json"],
            capture_output=True,
            text=True,
            check=False,
        )
        found: dict[str, Any] = json.loads(said.stdout)
        assert (said.returncode == 0) == all(part["health"] == "ok" for part in found["parts"]), said
        return found

    def pids(self) -> dict[str, int]:
        state = json.loads((self.data / "state.json").read_text())
        return {part["name"]: part["pid"] for part in state["parts"] if part["pid"]}

    def wait_end(self) -> int:
        return self.process.wait(PATIENCE)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait_end()


def wait_gone(pids: dict[str, int], starts: dict[str, str | None]) -> None:
    """Wait until none of these processes (by their start times) runs any more."""
    wait_until(
        lambda: not [name for name, pid in pids.items() if starts[name] and started(pid) == starts[name]],
        f"that all of {pids} have ended",
    )


def starts_of(pids: dict[str, int]) -> dict[str, str | None]:
    return {name: started(pid) for name, pid in pids.items()}


@pytest.fixture
def installation_folder() -> Iterator[Path]:
    """A folder in which an installation can be made."""
    yield from _folder()


@pytest.fixture(scope="module")
def shared_installation_folder() -> Iterator[Path]:
    """The same for all tests of a module."""
    yield from _folder()


def _folder() -> Iterator[Path]:
    base: Path | None = None
    if os.geteuid() == 0:
        base = ROOT_FOLDER
        base.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="tests-up-", dir=base))
    folder.chmod(0o711)
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def up(shared_installation_folder: Path) -> Iterator[Up]:
    """One running installation for the tests that leave it as they found it."""
    running = Up(shared_installation_folder, [], {})
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


Start = Callable[..., Up]


@pytest.fixture
def start_up(installation_folder: Path) -> Iterator[Start]:
    """Start ``runstone up`` in this test's folder, with more arguments and environment if given."""
    running: list[Up] = []

    def start(*arguments: str, **environment: str) -> Up:
        running.append(Up(installation_folder, list(arguments), environment))
        return running[-1]

    yield start
    for up in running:
        up.stop()
