"""``runstone replay`` as people run it, beside a ``runstone worker`` of the installation's own."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from runstone.events import types
from runstone_ingest import replay_process
from runstone_local.process_identity import started
from tests.fix_replay import read_as
from tests.integration.test_worker_process import command
from tests.publishing import envelope, points

RUN = "0a" * 16


async def test_a_read_model_is_built_anew_compared_swapped_in_and_back(
    kafka, database, prefix, publish, db, tmp_path: Path, monkeypatch
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    async def replay(*arguments: str, code: int = 0) -> str:
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("runstone"),
            "replay",
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ
            | {
                "RUNSTONE_BOOTSTRAP_SERVERS": kafka,
                "RUNSTONE_POSTGRES_DSN": database,
                "RUNSTONE_TOPIC_PREFIX": prefix,
            },
        )
        async with asyncio.timeout(60):
            out, err = await process.communicate()
        assert process.returncode == code, (out, err)
        return (out if code == 0 else out + err).decode()

    for n in range(20):
        await publish.publish(envelope(RUN, n, [], points(("m", n, n, 0.5))))
    async with command(kafka, database, prefix):
        await db.applied(21)
        begun = json.loads(await replay("start", "--json"))
        assert (begun["generation"], begun["state"]) == ("runstone_g2", "ready")
        assert "1 runs are the same, 0 differ" in await replay("verify")
        await db.connection.execute("UPDATE runstone_g2.latest_metrics SET value = 1")
        assert f"DIFFERS: {RUN}" in (said := await replay("verify", code=1))
        assert "latest_metrics" in said
        assert "runstone_g2 is live now" in await replay("swap")
        # the process of the replay leaves it to the worker
        await _until(lambda: started(begun["pid"]) is None or _is_zombie(begun["pid"]))
        await publish.publish(envelope(RUN, 20, [types.Tag("a", "1", 1)]))
        for generation in ("runstone_g1", "runstone_g2"):
            deadline = time.monotonic() + 30
            while not await read_as(db, generation, "SELECT FROM tags"):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
        assert "runstone_g1 is live now" in await replay("flip-back")
        states = {one["generation"]: one for one in json.loads(await replay("status", "--json"))}
        assert {name: one["state"] for name, one in states.items()} == {
            "runstone_g1": "live",
            "runstone_g2": "retired",
        }
        assert states["runstone_g1"]["lag_records"] == 0
        assert "is live" in await replay("drop", "runstone_g1", code=1)
        await replay("drop", "runstone_g2")
        assert "there is no such generation" in await replay("swap", code=1)
    assert "carry it on" in replay_process.log_file("runstone_g2").read_text()


async def _until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def _is_zombie(pid: int) -> bool:
    """Whether it has ended and waits for whoever takes over orphans here to notice."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
