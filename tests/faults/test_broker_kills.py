"""The broker is killed under publishers and workers, and the network to it is slow, thin, cut and silent.

Row 5 of the fault table. In the second test every connection leads through a proxy: the broker tells clients an
address at which nobody but that proxy listens.
"""

import asyncio
import random
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runstone_local import fetch
from runstone_local.kafka import KafkaAddresses, KafkaNode
from runstone_local.layout import DataFolder
from runstone_local.ports import free_ports
from tests.faults.bad_way import BadWay
from tests.faults.crew import crew
from tests.faults.installation import Installation, Journals, journals
from tests.faults.scale import parts, times
from tests.publishing import Database

PUBLISHES_WITHIN = 30
INGESTS_WITHIN = 60
"""Seconds from when the broker answers or the network is well again. A worker may wait for an answer that never
comes for aiokafka's 40 s."""

APPLIED = "SELECT sum(next_offset)::bigint FROM ingest_partitions"


class Mortal:
    """A broker of this test's own."""

    def __init__(self, folder: DataFolder) -> None:
        install = fetch.fetch_kafka(print)
        self.node = KafkaNode(install, folder.kafka, KafkaAddresses(*free_ports(3)), folder.log("kafka"))
        self.running: subprocess.Popen[bytes]

    async def start(self) -> None:
        self.running = self.node.start()
        await self.node.wait_ready(self.running)

    async def killed(self) -> None:
        """Killed, and there again."""
        self.running.kill()
        self.running.wait()
        await self.start()


@asynccontextmanager
async def mortal(path: Path) -> AsyncIterator[Mortal]:
    folder = DataFolder(path)
    folder.create()
    made = Mortal(folder)
    await made.node.prepare()
    await made.start()
    try:
        yield made
    finally:
        await made.node.stop(made.running)


class Healing:
    """How long publishing and ingest have taken to go on, at the longest: seconds."""

    def __init__(self, said: Journals, db: Database) -> None:
        self._said = said
        self._db = db
        self.publishing = 0.0
        self.ingest = 0.0

    async def after(self, fault: Callable[[], Awaitable[None]]) -> None:
        """Let *fault* happen, and wait until both go on."""
        await fault()
        began = time.monotonic()
        rounds = self._said.rounds
        async with asyncio.timeout(PUBLISHES_WITHIN):
            while self._said.rounds < rounds + 2:  # the first may have been acknowledged before  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        self.publishing = max(self.publishing, time.monotonic() - began)
        ((before,),) = await self._db.rows(APPLIED)
        await self._db.until(APPLIED, lambda rows: rows[0][0] > before, INGESTS_WITHIN)
        self.ingest = max(self.ingest, time.monotonic() - began)

    def __str__(self) -> str:
        return f"published after {self.publishing:.1f} s at most, ingested after {self.ingest:.1f} s"


@parts(4)
@pytest.mark.timeout(1500)
async def test_a_killed_broker_loses_and_repeats_nothing(database, prefix, db, tmp_path, part):
    async with mortal(tmp_path / "broker") as broker:
        place = Installation(broker.node.addresses.internal, database, prefix, 12)
        async with journals(place) as said, crew(place, tmp_path) as workers:
            for _ in range(2):
                await workers.start()
            await said.go_on()
            await said.check()
            healing, chance = Healing(said, db), random.Random(part)
            async with said.going_on(pause=0.02):
                for _ in range(times(2, 25)):
                    await asyncio.sleep(chance.uniform(0, 1))
                    await healing.after(broker.killed)
            await said.check(resent=True)
            print(f"{healing}; {said.events} events")


class Weather:
    """What the network does for some seconds each time."""

    def __init__(self, way: BadWay, seed: int) -> None:
        self._way = way
        self._chance = random.Random(seed)
        self.kinds = (self.slow, self.thin, self.cut, self.silent)

    async def _last(self) -> None:
        await asyncio.sleep(self._chance.uniform(1, 3))

    async def slow(self) -> None:
        self._way.delay = 0.3
        await self._last()
        self._way.delay = 0

    async def thin(self) -> None:
        self._way.rate = 20_000
        await self._last()
        self._way.rate = 0

    async def cut(self) -> None:
        for _ in range(5):
            self._way.cut()
            await asyncio.sleep(self._chance.uniform(0, 0.5))

    async def silent(self) -> None:
        """Connections that are there lead nowhere for ever; new ones wait."""
        self._way.swallow()
        await self._last()
        self._way.forward()


@parts(5)
@pytest.mark.timeout(1500)
async def test_a_bad_network_loses_and_repeats_nothing(
    kafka, far_kafka, database, prefix, db, tmp_path, part
):
    way = BadWay(("127.0.0.1", far_kafka[1]))
    await way.start(*far_kafka)
    weather = Weather(way, part)
    address = f"{far_kafka[0]}:{far_kafka[1]}"
    place = Installation(kafka, database, prefix, 12)
    try:
        async with (
            journals(place, kafka=address) as said,
            crew(Installation(address, database, prefix, 12), tmp_path) as workers,
        ):
            await workers.start()
            await said.go_on()
            await said.check()
            healing = Healing(said, db)
            async with said.going_on(pause=0.02):
                for n in range(times(3, 12)):
                    await healing.after(weather.kinds[n % len(weather.kinds)])
            await said.check(resent=True)
            print(f"{healing}; {said.events} events")
    finally:
        await way.close()
