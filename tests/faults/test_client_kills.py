"""Processes killed at random instants: what a call had returned is queryable, each point exactly once.

A journal in a mapped file of the test's own counts the calls that have returned; it outlives the process as
the spool does. One call may have returned, or its record have been complete, without being counted.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.scale import times
from tests.fix_up import Up, get, wait_until

TOGETHER = 4

LOGS_UNTIL_IT_IS_KILLED = """
    import mmap, sys, time
    with open(sys.argv[1], "r+b") as file:
        journal = mmap.mmap(file.fileno(), 48)
    import runstone
    run = runstone.start_run()
    journal[:32] = run.run_id.encode()
    i = 0
    while True:
        run.log_metric("x", i, step=i)
        journal[32:40] = (i + 1).to_bytes(8, "little")
        if i % 50 == 0:
            run.log_param(f"p{i // 50}", i)
            journal[40:48] = (i // 50 + 1).to_bytes(8, "little")
            time.sleep(0.002)
        i += 1
"""

WAITS = """
    import runstone, sys
    run = runstone.start_run()
    print(run.run_id, flush=True)
    sys.stdin.read()
"""

LOGS_AND_ENDS = """
    import runstone, sys
    with runstone.start_run() as run:
        print(run.run_id, flush=True)
        for i in range(3000):
            run.log_metric("x", i, step=i)
            if i % 100 == 0:
                run.log_param(f"p{i // 100}", i)
"""


class Programs:
    """Programs that log to one server through one spool."""

    def __init__(self, uri: str, folder: Path) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self._environment = os.environ | {
            "RUNSTONE_TRACKING_URI": uri, "RUNSTONE_SPOOL": str(self.spool), "RUNSTONE_QUIET": "1",
        }  # fmt: skip

    def start(self, script: str, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), *arguments],
            env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=self.folder,
        )  # fmt: skip

    def sender(self) -> int | None:
        """The pid of the spool's sender, where one runs."""
        for said in self.spool.glob("*/sender.json"):
            with contextlib.suppress(OSError, ValueError, KeyError):
                pid = int(json.loads(said.read_bytes())["pid"])
                if str(self.spool) in Path(f"/proc/{pid}/cmdline").read_text():
                    return pid
        return None


@pytest.fixture
def programs(up: Up, tmp_path: Path) -> Programs:
    return Programs(up.url, tmp_path)


@pytest.fixture
def bystander(programs: Programs) -> Iterator[None]:
    """A training process that lives all the while, so that there is always a sender."""
    process = programs.start(WAITS)
    process.stdout.readline()
    yield
    process.communicate("")


def killed_after(process: "subprocess.Popen[str]", seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
        raise AssertionError("it ended by itself")
    process.kill()
    process.communicate()


def wait_for_run(up: Up, run_id: str, status: str) -> dict:
    def found() -> dict | None:
        code, run = get(f"{up.url}/api/v1/runs/{run_id}")
        return run if code == 200 and run["status"] == status else None

    return wait_until(found, f"run {run_id} is {status}", patience=120)


def check(up: Up, run: dict, points: range, params: range) -> None:
    """The run has every point and param once: as many as one of the counts says."""
    assert run["completeness"]["complete"], run["completeness"]
    if not run["metrics"]:
        assert 0 in points
        return
    history = get(f"{up.url}/api/v1/runs/{run['run_id']}/metrics/x")[1]
    n = len(history["steps"])
    assert n in points
    assert history["steps"] == list(range(n))
    assert history["values"] == [float(step) for step in range(n)]
    assert len(run["params"]) in params
    assert run["params"] == {f"p{i}": str(i * 50) for i in range(len(run["params"]))}


@pytest.mark.usefixtures("bystander")
@pytest.mark.timeout(1800)
def test_a_training_process_killed_at_any_instant_loses_and_doubles_nothing(up, programs):
    chance = random.Random(os.urandom(8))
    found = 0
    for round_ in range(times(6, 250)):
        journals = [programs.folder / f"{round_}.{n}" for n in range(TOGETHER)]
        for journal in journals:
            journal.write_bytes(bytes(48))
        processes = [programs.start(LOGS_UNTIL_IT_IS_KILLED, str(journal)) for journal in journals]
        for process in processes:
            killed_after(process, chance.uniform(0.0, 0.4))
        for journal in journals:
            said = journal.read_bytes()
            if not said[0]:
                continue
            found += 1
            points, params = (int.from_bytes(said[at : at + 8], "little") for at in (32, 40))
            run = wait_for_run(up, said[:32].decode(), "FAILED")
            assert "ended without" in run["status_reason"]
            check(up, run, range(points, points + 2), range(params, params + 2))
    assert found > times(6, 250)


@pytest.mark.usefixtures("bystander")
@pytest.mark.timeout(1800)
def test_a_sender_killed_at_any_instant_loses_and_doubles_nothing(up, programs):
    chance = random.Random(os.urandom(8))
    kills, runs = 0, []
    while kills < times(6, 200):
        process = programs.start(LOGS_AND_ENDS)
        runs.append(process.stdout.readline().strip())
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0.0, 0.5))
        if sender := programs.sender():
            os.kill(sender, signal.SIGKILL)
            kills += 1
        process.communicate()
        assert process.returncode == 0
    programs.start(LOGS_AND_ENDS).communicate()  # starts the sender that delivers the rest
    for run_id in runs:
        run = wait_for_run(up, run_id, "FINISHED")
        assert run["completeness"]["complete"], run["completeness"]
        history = get(f"{up.url}/api/v1/runs/{run_id}/metrics/x")[1]
        assert history["steps"] == list(range(3000))
        assert len(run["params"]) == 30
