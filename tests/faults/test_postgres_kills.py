"""Postgres is killed under working workers, and their connections end at COMMIT: every record counts once.

Row 4 of the fault table. A killed server forgets what was committed a moment ago, since workers do not wait for
the disk; it must forget rows and offsets together.
"""

import asyncio
import random
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from runstone_local.exceptions import CannotStartError
from runstone_local.layout import DataFolder
from runstone_local.ports import free_ports
from runstone_local.postgres import PostgresServer
from runstone_store.migrations import migrate
from tests.faults.bad_way import CutsAtCommit
from tests.faults.crew import crew
from tests.faults.installation import Installation, Journals, journals
from tests.faults.scale import parts, times
from tests.publishing import Database, asking

RESUMES_WITHIN = 10
"""Seconds from when the server takes connections again, or from a cut."""

APPLIED = "SELECT sum(next_offset)::bigint FROM ingest_partitions"


class Mortal:
    """A server of this test's own, which is killed with all that it had not written."""

    def __init__(self, folder: DataFolder) -> None:
        self.server = PostgresServer(folder, free_ports(1)[0])
        self.running: subprocess.Popen[bytes]

    async def start(self) -> None:
        """Return when it takes connections. While the killed one's backends still run, it refuses to."""
        async with asyncio.timeout(60):
            while True:
                await self.server.prepare()
                self.running = self.server.start()
                try:
                    await self.server.wait_ready(self.running)
                except CannotStartError:
                    continue
                return

    def kill(self) -> None:
        self.running.kill()
        self.running.wait()


@pytest.fixture
def own_folder(installation_folder) -> DataFolder:
    folder = DataFolder(installation_folder)
    folder.create()
    return folder


@asynccontextmanager
async def mortal(folder: DataFolder) -> AsyncIterator[Mortal]:
    made = Mortal(folder)
    await made.start()
    try:
        await migrate(made.server.dsn())
        yield made
    finally:
        await made.server.stop(made.running)


async def resumed(db: Database, began: float) -> float:
    """Wait until more is applied than now; the seconds since *began*."""
    ((before,),) = await db.rows(APPLIED)
    left = RESUMES_WITHIN - (time.monotonic() - began)
    await db.until(APPLIED, lambda rows: rows[0][0] > before, left)
    return time.monotonic() - began


@parts(4)
@pytest.mark.timeout(1500)
async def test_a_killed_server_is_waited_for_and_rows_and_offsets_agree(
    kafka, prefix, own_folder, tmp_path, part
):
    longest, chance = 0.0, random.Random(part)
    async with mortal(own_folder) as postgres:
        place = Installation(kafka, postgres.server.dsn(), prefix, 12)
        async with journals(place) as said, crew(place, tmp_path) as workers:
            for _ in range(2):
                await workers.start()
            await said.go_on()
            await said.check()
            async with said.going_on(pause=0.02):
                for _ in range(times(3, 25)):
                    await asyncio.sleep(chance.uniform(0, 2))  # some of it is on the disk by then
                    postgres.kill()
                    await postgres.start()
                    ready = time.monotonic()
                    async with asking(place.dsn) as db:
                        longest = max(longest, await resumed(db, ready))
            await said.check()
            print(f"resumed after {longest:.1f} s at most; {said.events} events")


@asynccontextmanager
async def cutting(dsn: str) -> AsyncIterator[tuple[CutsAtCommit, str]]:
    """What cuts connections to the database *dsn*, and the address that leads through it."""
    there = urlsplit(dsn)
    assert there.hostname
    assert there.port
    (port,) = free_ports(1)
    way = CutsAtCommit((there.hostname, there.port))
    await way.start("127.0.0.1", port)
    try:
        yield way, dsn.replace(f":{there.port}/", f":{port}/")
    finally:
        await way.close()


async def cut(way: CutsAtCommit, moment: str) -> float:
    """Have a connection cut; when that was."""
    wanted = way.cuts + 1
    way.arm(moment)
    async with asyncio.timeout(RESUMES_WITHIN):
        while way.cuts < wanted:  # noqa: ASYNC110 - it is the proxy that knows
            await asyncio.sleep(0.01)
    return time.monotonic()


async def cuts(way: CutsAtCommit, said: Journals, db: Database, count: int) -> float:
    """Cut *count* times under load; the longest time until ingest went on."""
    longest = 0.0
    async with said.going_on(pause=0.02):
        for n in range(count):
            longest = max(longest, await resumed(db, await cut(way, way.MOMENTS[n % len(way.MOMENTS)])))
    return longest


@pytest.mark.timeout(1500)
async def test_a_connection_that_ends_at_commit_leaves_nothing_out_and_nothing_twice(
    kafka, database, prefix, db, tmp_path
):
    place = Installation(kafka, database, prefix, 12)
    async with (
        cutting(database) as (way, dsn),
        journals(place) as said,
        crew(Installation(kafka, dsn, prefix, 12), tmp_path) as workers,
    ):
        process = await workers.start()
        await said.go_on()
        await said.check()
        longest = await cuts(way, said, db, times(6, 100))
        await said.check()
        assert process.returncode is None
        await workers.end(process, signal.SIGTERM)
    print(f"{way.cuts} cuts; resumed after {longest:.1f} s at most; {said.events} events")
