"""The installed command: it says when it is ready, stops when told, and one that was killed is replaced."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from runstone.events import types
from tests.publishing import envelope

RUN = "0a" * 16


@asynccontextmanager
async def command(kafka: str, database: str, prefix: str, *options: str) -> AsyncIterator[Process]:
    """A ready `runstone worker`; killed after the block if it still runs."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("runstone"),
        "worker",
        *options,
        stdout=PIPE,
        stderr=PIPE,
        env=os.environ
        | {
            "RUNSTONE_BOOTSTRAP_SERVERS": kafka,
            "RUNSTONE_POSTGRES_DSN": database,
            "RUNSTONE_TOPIC_PREFIX": prefix,
        },
    )
    try:
        async with asyncio.timeout(20):
            line = await process.stdout.readline()
        assert line.startswith(b"runstone worker: ready"), await process.stderr.read()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_the_command_says_when_it_is_ready_and_stops_when_told(kafka, database, prefix, publish, db):
    for number in (signal.SIGTERM, signal.SIGINT):
        async with command(kafka, database, prefix) as process:
            process.send_signal(number)
            async with asyncio.timeout(5):
                out, err = await process.communicate()
        assert (process.returncode, out) == (0, b"runstone worker: stopped\n"), err


async def test_a_worker_in_the_place_of_a_killed_one_goes_on_at_once(kafka, database, prefix, publish, db):
    async with command(kafka, database, prefix) as process:
        await publish.publish(envelope(RUN, 0, [types.Tag("a", "1", 1)]))
        await db.applied(2)
        process.kill()
        await process.wait()
    await publish.publish(envelope(RUN, 1, [types.Tag("b", "2", 1)]))
    async with command(kafka, database, prefix):
        await db.applied(3, seconds=8)  # below the 10 s after which the group would notice the death itself
    assert await db.rows("SELECT key FROM tags ORDER BY key") == [("a",), ("b",)]


async def test_a_worker_without_its_servers_stops_when_told(database, prefix):
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("runstone"),
        "worker",
        stdout=PIPE,
        stderr=PIPE,
        env=os.environ
        | {
            "RUNSTONE_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "RUNSTONE_POSTGRES_DSN": database,
            "RUNSTONE_TOPIC_PREFIX": prefix,
        },
    )
    said = b""
    async with asyncio.timeout(20):
        while b"runstone worker: Kafka at 127.0.0.1:1" not in said:
            said += await process.stderr.readline()
    process.terminate()
    async with asyncio.timeout(5):
        await process.communicate()
    assert process.returncode == 0


async def test_a_worker_that_is_told_to_stop_leaves_its_partitions_to_the_others_at_once(
    kafka, database, prefix, publish, db
):
    owners = "SELECT split_part(owner, ':', 2)::int AS pid FROM ingest_partitions GROUP BY 1"
    async with command(kafka, database, prefix) as one, command(kafka, database, prefix) as other:
        await db.until(owners, lambda rows: {pid for (pid,) in rows} == {one.pid, other.pid})
        one.terminate()
        async with asyncio.timeout(5):
            await one.wait()
        # below the 10 s after which the group would give up one that died
        await db.until(owners, lambda rows: rows == [(other.pid,)], seconds=8)


async def _children(process: Process) -> list[int]:
    found = await asyncio.to_thread(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text)
    return [int(pid) for pid in found.split()]


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 - other processes tell nobody
            await asyncio.sleep(0.05)


async def test_several_processes_share_the_partitions_and_one_that_dies_is_replaced(
    kafka, database, prefix, publish, db
):
    owners = "SELECT split_part(owner, ':', 2)::int AS pid FROM ingest_partitions GROUP BY 1"
    async with command(kafka, database, prefix, "--workers", "2") as parent:
        pids = await _children(parent)
        assert len(pids) == 2
        found = await db.until(owners, lambda rows: len(rows) == 2)
        assert {pid for (pid,) in found} == set(pids)
        os.kill(pids[0], signal.SIGKILL)

        async def replaced() -> bool:
            now = await _children(parent)
            return len(now) == 2 and pids[0] not in now

        await _until(replaced)
        await publish.publish(*(envelope(f"{n:032x}", 0, [types.Tag("a", "1", 1)]) for n in range(12)))
        await db.applied(13, seconds=30)
        parent.send_signal(signal.SIGTERM)
        async with asyncio.timeout(6):
            _out, err = await parent.communicate()
        assert parent.returncode == 0
        assert b"has ended with exit code -9, starting another" in err
    assert await db.rows("SELECT sum(duplicates)::int FROM ingest_partitions") == [(0,)]


async def test_the_processes_of_a_parent_that_is_killed_stop(kafka, database, prefix, publish, db):
    async with command(kafka, database, prefix, "--workers", "2") as parent:
        pids = await _children(parent)
        parent.kill()

        async def gone() -> bool:
            return not await asyncio.to_thread(
                lambda: [pid for pid in pids if Path(f"/proc/{pid}/stat").exists()]
            )

        await _until(gone)
