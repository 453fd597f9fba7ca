"""What the server shows of processes that stop, die or vanish: real trainings, senders and signals."""

import asyncio
import contextlib
import os
import signal
import sys
import textwrap
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from runstone_query import run_documents
from tests.fix_stack import Stack

LOST_AFTER = 3.0

SENDER = """
from pathlib import Path
from runstone.sender import heard, process
heard.EVERY = 0.3
process.send(Path(sys.argv[1]))
"""
"""A sender as ever, but for its heartbeats: a test has no time for one a minute."""


@pytest.fixture
def lost_after() -> float:
    return LOST_AFTER


class Machine:
    """Programs that share a spool and log to one stack; what is left of them is killed at the end."""

    def __init__(self, stack: Stack, spool: Path) -> None:
        self._stack = stack
        self._spool = spool
        self.processes: list[asyncio.subprocess.Process] = []

    async def start(self, program: str, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "import sys, time\n" + textwrap.dedent(program), *arguments,
            env=os.environ | {
                "RUNSTONE_TRACKING_URI": self._stack.url, "RUNSTONE_SPOOL": str(self._spool), "RUNSTONE_QUIET": "1",
            } | environment,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self.processes.append(process)
        return process

    async def sender(self) -> asyncio.subprocess.Process:
        process = await self.start(SENDER, str(self._spool))
        deadline = time.monotonic() + 20
        while not list(self._spool.glob("*/sender.json")):
            assert time.monotonic() < deadline, "no sender"
            await asyncio.sleep(0.02)
        return process


@pytest.fixture
async def machine(stack: Stack, tmp_path: Path) -> AsyncIterator[Machine]:
    made = Machine(stack, tmp_path / "spool")
    yield made
    for process in made.processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(30):
        return (await process.stdout.readline()).decode().strip()


async def run_of(stack: Stack, run_id: str) -> dict[str, Any]:
    async with stack.client.get(f"/api/v1/runs/{run_id}") as answer:
        found: dict[str, Any] = await answer.json()
        return found if answer.status == 200 else {}


async def until(
    stack: Stack, run_id: str, condition: Callable[[dict[str, Any]], Any], patience: float = 30
) -> dict[str, Any]:
    """The run once *condition* holds; until it does another machine's heartbeats come."""
    deadline = time.monotonic() + patience
    while not ((run := await run_of(stack, run_id)) and condition(run)):
        assert time.monotonic() < deadline, run
        async with stack.client.post("/api/v1/heard", json={"sessions": ["ee" * 16]}) as answer:
            assert answer.status == 202
        await asyncio.sleep(0.05)
    return run


async def test_a_stopped_training_runs_on_a_vanished_machine_is_given_up_until_it_is_back(
    stack: Stack, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_documents, "STALE_MS", 1_000)
    sender = await machine.sender()
    training = await machine.start("""
        import runstone
        run = runstone.start_run()
        print(run.run_id, flush=True)
        while True:
            run.log_metric("x", 1)
            time.sleep(0.05)
        """)
    run_id = await line(training)
    await until(stack, run_id, lambda run: run["last_heard_at"])

    training.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    run = await until(stack, run_id, lambda run: run["stale"] or time.monotonic() > stopped + 2 * LOST_AFTER)
    assert (run["status"], run["stale"]) == ("RUNNING", False)  # whoever is stopped is not dead

    sender.send_signal(signal.SIGSTOP)  # now the machine is gone
    await until(stack, run_id, lambda run: run["stale"] and run["status"] == "RUNNING")
    run = await until(stack, run_id, lambda run: run["status"] == "FAILED")
    assert (run["status_reason"], run["stale"]) == ("session lost", False)
    heard = run["last_heard_at"]

    training.send_signal(signal.SIGCONT)
    sender.send_signal(signal.SIGCONT)
    run = await until(stack, run_id, lambda run: run["status"] == "RUNNING")
    assert run["last_heard_at"] > heard
    assert (run["status_reason"], run["end_time"]) == (None, None)

    training.kill()
    run = await until(stack, run_id, lambda run: run["status"] == "FAILED", patience=10)
    assert "ended without ending the run" in run["status_reason"]
    assert all(session["ended"] == "ended" for session in run["completeness"]["sessions"])


LEFT = {"ValueError: no data", "the process, which had joined the run, has ended"}


def ends(run: dict[str, Any]) -> Counter[str | None]:
    """How many sessions ended for which reason; "open": not."""
    sessions = run["completeness"]["sessions"]
    return Counter(session["end_reason"] if session["ended"] else "open" for session in sessions)


RANK = """
    import runstone
    with runstone.start_run() as run:
        run.log_metric("rank", {0})
        print(run.run_id, flush=True)
        {1}
"""


async def test_only_the_rank_that_started_a_run_ends_it_and_each_says_how_it_left(
    stack: Stack, machine: Machine
) -> None:
    await machine.sender()
    run_id = "0190f5d8e4b07c3a9b1d2e3f4a5b6c7d"
    last_words = ("time.sleep(600)", "time.sleep(600)", "pass", "raise ValueError('no data')")
    ranks = [
        await machine.start(RANK.format(rank, last), RUNSTONE_RUN_ID=run_id, RANK=str(rank))
        for rank, last in enumerate(last_words)
    ]
    for rank in ranks:
        assert await line(rank) == run_id
    ranks[1].kill()
    run = await until(stack, run_id, lambda run: {None, *LEFT} <= ends(run).keys())
    assert (run["status"], ends(run)["open"]) == ("RUNNING", 1)
    ranks[0].send_signal(signal.SIGTERM)
    run = await until(stack, run_id, lambda run: run["status"] != "RUNNING", patience=10)
    assert (run["status"], run["completeness"]["complete"]) == ("KILLED", True)
    assert all(session["ended"] == "ended" for session in run["completeness"]["sessions"])
