"""A container whose disk goes with it: what its program has logged is in Kafka when the program has ended."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest

from runstone.spool.file_systems import goes_with_its_container

MEMORY = Path("/dev/shm")

PROGRAM = """
import os, runstone
with runstone.start_run() as run:
    if (child := os.fork()) == 0:
        for i in range(1000): runstone.log_metric("of a worker", i, i)
        os._exit(0)
    os.waitpid(child, 0)
    for i in range(1000): runstone.log_metric("k", i, i)
    runstone.log_text("content", "a.txt")
"""


@pytest.fixture
def spool():
    if not (MEMORY.is_dir() and goes_with_its_container(MEMORY)):
        pytest.skip("/dev/shm is not in memory here")
    folder = Path(tempfile.mkdtemp(dir=MEMORY))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


async def run(spool: Path, uri: str) -> tuple[float, str]:
    """How long the program took, and what it said; then everything of its container is gone at once."""
    environment = {k: v for k, v in os.environ.items() if k != "RUNSTONE_EXIT_TIMEOUT"}
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM),
        env=environment | {"RUNSTONE_TRACKING_URI": uri, "RUNSTONE_SPOOL": str(spool), "RUNSTONE_QUIET": "1"},
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        _, said = await process.communicate()
    took = time.monotonic() - began
    assert process.returncode == 0
    end_container(spool)
    return took, said.decode()


def end_container(spool: Path) -> None:
    [told] = spool.glob("*/sender.json")
    with contextlib.suppress(ProcessLookupError):
        os.kill(json.loads(told.read_bytes())["pid"], signal.SIGKILL)
    shutil.rmtree(spool)


async def test_the_program_ends_when_kafka_has_everything_its_dead_workers_included(stack, spool):
    _took, said = await run(spool, stack.url)
    assert "warning" not in said
    await stack.database.until("SELECT status FROM runs", lambda rows: rows == [("FINISHED",)])
    rows = "SELECT count(*) FROM artifacts"
    await stack.database.until(rows, lambda found: found == [(1,)])
    [(run_id,)] = await stack.database.rows("SELECT run_id FROM runs")
    for key in ("k", "of%20a%20worker"):
        history = await (await stack.client.get(f"/api/v1/runs/{run_id}/metrics/{key}")).json()
        assert history["values"] == list(range(1000))


async def test_where_nothing_answers_the_program_ends_soon_and_says_what_is_lost(spool):
    took, said = await run(spool, "http://127.0.0.1:9")
    assert took < 6, "two seconds of them are the wait"
    assert "goes with this container" in said
    assert "nothing answers" in said
