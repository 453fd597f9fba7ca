"""Workers that die, or stop and come back as zombies, at named points and anywhere: every record counts once.

Rows 1 and 2 of the fault table.
"""

import asyncio
import itertools
import random
import signal

import pytest

from tests.faults.crew import Crew, crew, stopped
from tests.faults.installation import Installation, Journals, journals
from tests.faults.scale import parts, times
from tests.faults.worker_at_a_point import POINTS
from tests.fix_services import migrated_database
from tests.fix_worker import PARTITIONS
from tests.publishing import asking

FIRST = ("inside COPY", "before COMMIT", "after COMMIT", "before a merge's COMMIT")
"""The points that a scaled-down run knows."""

WORKERS = 3
ZOMBIES_TOGETHER = 10
"""Each has an installation of its own: most of a zombie's time is spent waiting for the group to give it up."""


class Deaths:
    """Kills workers, each in a place of its own that is filled again at once, until there were *wanted*."""

    def __init__(self, workers: Crew, wanted: int, seed: int) -> None:
        self.workers = workers
        self.wanted = wanted
        self.chance = random.Random(seed)
        self.points = itertools.cycle(POINTS if times(0, 1) else FIRST)
        self.begun = 0

    async def one_place(self) -> None:
        while self.begun < self.wanted:
            self.begun += 1
            if self.begun % 2:
                await self.at_a_point(next(self.points))
            else:
                await self.anywhere()

    async def at_a_point(self, point: str) -> None:
        nth = 1 if point == "taken over" else self.chance.randint(1, 3)
        process = await self.workers.start(point, str(nth), "SIGKILL")
        async with asyncio.timeout(60):
            assert await process.wait() == -signal.SIGKILL, point

    async def anywhere(self) -> None:
        """Before it is ready, or while it takes partitions over, or when it has worked for a while."""
        process = await self.workers.start()
        await asyncio.sleep(self.chance.uniform(0, 4))
        assert process.returncode is None, "a worker has ended by itself"
        await self.workers.end(process)


@parts(4)
@pytest.mark.timeout(1500)
async def test_workers_that_are_killed_lose_and_repeat_nothing(kafka, database, prefix, tmp_path, part):
    place = Installation(kafka, database, prefix, 12)
    events = times(10_000, 500_000)
    async with journals(place, points=98) as said, crew(place, tmp_path) as workers:
        deaths = Deaths(workers, times(6, 125), part)
        async with said.going_on(pause=times(50, 150) / 1000):
            await asyncio.gather(*(deaths.one_place() for _ in range(WORKERS)))
        while said.events < events:
            await said.go_on()
        for _ in range(WORKERS):
            await workers.start()
        await said.check(seconds=120)
        print(f"{deaths.begun} kills, {said.events} events")


async def a_zombie(place: Installation, said: Journals, workers: Crew, point: str) -> None:
    """A worker stops at *point*; when another has taken everything over and written, it goes on."""
    zombie = await workers.start(point, "1" if point == "taken over" else "2", "SIGSTOP")
    async with asyncio.timeout(60):
        while not await stopped(zombie):
            await said.go_on()
            await asyncio.sleep(0.02)
    heir = await workers.start()
    await said.go_on()
    await said.check()
    zombie.send_signal(signal.SIGCONT)
    async with asking(place.dsn) as db:  # what it held was written or refused by the time it has joined again
        await db.until(
            f"SELECT 1 FROM ingest_partitions WHERE owner LIKE '%:{zombie.pid}:%'", bool, seconds=60
        )
    await said.go_on()
    await said.check()
    await asyncio.gather(workers.end(zombie), workers.end(heir))


@parts(10)
@pytest.mark.timeout(1500)
async def test_zombies_commit_nothing_stale(kafka, postgres, prefix, tmp_path, part):
    names = [*POINTS] if times(0, 1) else ["before BEGIN", "inside COPY"]
    wanted = times(2, 20)

    async def one_after_the_other(number: int) -> None:
        with migrated_database(postgres) as dsn:
            place = Installation(kafka, dsn, f"{prefix}-{number}", PARTITIONS)
            async with journals(place, points=8) as said, crew(place, tmp_path) as workers:
                for n in range(number, wanted, ZOMBIES_TOGETHER):
                    await a_zombie(place, said, workers, names[(n + part) % len(names)])

    await asyncio.gather(*(one_after_the_other(n) for n in range(min(wanted, ZOMBIES_TOGETHER))))
    refused = sum(log.read_text().count("or moved its offset") for log in tmp_path.glob("*.log"))
    print(f"{wanted} zombies, of whose writes {refused} were refused by the compare-and-set")
