"""Workers that come and go all the time: nothing lost, nothing twice, and no partition waits for long.

Row 3 of the fault table.
"""

import asyncio
import contextlib
import random
import time

import pytest

from tests.faults.installation import Installation, journals
from tests.faults.scale import parts, times
from tests.fix_worker import working
from tests.publishing import Database

IDLE_SECONDS = 15
MOST = 6


class Longest:
    """How long each partition has stood still, at the longest, while there was something to apply."""

    def __init__(self) -> None:
        self._stands: dict[int, tuple[int, float]] = {}
        self.seconds = 0.0
        self.partition = -1

    def look(self, rows: list[tuple[int, int]]) -> None:
        """*rows*: partition and next offset."""
        now = time.monotonic()
        for partition, offset in rows:
            before, since = self._stands.get(partition, (-1, now))
            if offset != before:
                self._stands[partition] = offset, now
            if now - since > self.seconds:
                self.seconds, self.partition = now - since, partition


async def watch(db: Database, longest: Longest) -> None:
    while True:
        longest.look(
            await db.rows("SELECT partition, next_offset FROM ingest_partitions WHERE topic LIKE '%events'")
        )
        await asyncio.sleep(0.1)


@parts(6)
@pytest.mark.timeout(1500)
async def test_a_storm_of_rebalances_loses_nothing_and_lets_no_partition_wait(
    kafka, database, prefix, db, part
):
    place = Installation(kafka, database, prefix, 12)
    chance = random.Random(part)
    longest = Longest()
    async with journals(place, points=8) as said, contextlib.AsyncExitStack() as last:
        at_work = [contextlib.AsyncExitStack()]
        await at_work[0].enter_async_context(working(kafka, database, prefix))
        await db.until("SELECT count(*)::int FROM ingest_partitions", lambda rows: rows == [(13,)])
        async with said.going_on(pause=0.1):
            watching = asyncio.create_task(watch(db, longest))
            for _ in range(times(6, 50)):
                if len(at_work) == 1 or (len(at_work) < MOST and chance.random() < 0.5):
                    at_work.append(contextlib.AsyncExitStack())
                    await at_work[-1].enter_async_context(working(kafka, database, prefix))
                else:
                    await at_work.pop(chance.randrange(len(at_work))).aclose()
                await asyncio.sleep(chance.choice((0, 0.5, 1, 3)))
            watching.cancel()
        for one in at_work:
            last.push_async_callback(one.aclose)
        await said.check()
    print(f"longest wait {longest.seconds:.1f} s, in partition {longest.partition}; {said.events} events")
    assert longest.seconds < IDLE_SECONDS
