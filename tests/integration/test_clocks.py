"""A machine whose clock jumps by ten years: order and content are those of the calls, and nothing waits."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

YEARS = 10 * 365 * 24 * 3600

CLOCK = """
import os, time
shifts = [int(shift) for shift in os.environ["CLOCK_SHIFTS"].split()]
real, real_ns, monotonic = time.time, time.time_ns, time.monotonic
def shift(): return shifts[int(monotonic() * 50) % len(shifts)]
time.time = lambda: real() + shift()
time.time_ns = lambda: real_ns() + shift() * 10**9
"""
"""Jumps fifty times a second, for the client and its sender alike."""

PROGRAM = """
import time, runstone
with runstone.start_run() as run:
    print(run.run_id)
    for i in range(300):
        run.log_metric("k", i, step=i // 2)
        run.log_param(f"p{i % 100}", i)
        run.set_tag("last", i)
        time.sleep(0.0003)
    run.log_series("s", range(1000))
    run.log_text("of another time", "a.txt")
print(runstone.flush(30))
"""


async def trained(stack, tmp_path: Path, shifts: str) -> str:
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock" / "sitecustomize.py").write_text(CLOCK)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM),
        env=os.environ
        | {
            "RUNSTONE_TRACKING_URI": stack.url,
            "RUNSTONE_SPOOL": str(tmp_path / "spool"),
            "RUNSTONE_QUIET": "1",
            "PYTHONPATH": str(tmp_path / "clock"),
            "CLOCK_SHIFTS": shifts,
        },
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    run_id, flushed = said.decode().split()
    assert flushed == "True"
    return run_id


@pytest.mark.parametrize("shifts", [f"0 {YEARS} -{YEARS}", f"{YEARS}", f"-{YEARS}"])
async def test_order_and_content_do_not_depend_on_a_clock(stack, tmp_path, shifts):
    run_id = await trained(stack, tmp_path, shifts)
    await stack.database.until(
        "SELECT status FROM runs", lambda rows: [status for (status,) in rows] == ["FINISHED"]
    )
    run = await (await stack.client.get(f"/api/v1/runs/{run_id}")).json()
    assert run["completeness"]["complete"], run["completeness"]
    assert run["params"] == {f"p{i}": str(i) for i in range(100)}
    assert run["tags"]["last"] == "299"
    history = await (await stack.client.get(f"/api/v1/runs/{run_id}/metrics/k")).json()
    assert history["steps"] == [i // 2 for i in range(300)]
    assert sorted(history["values"]) == list(range(300))
    assert all(
        int(value) // 2 == step for value, step in zip(history["values"], history["steps"], strict=True)
    )
    series = await (await stack.client.get(f"/api/v1/runs/{run_id}/metrics/s")).json()
    assert series["values"] == list(range(1000))
    artifacts = await (await stack.client.get(f"/api/v1/runs/{run_id}/artifacts")).json()
    assert "a.txt" in str(artifacts)
