"""A sender between a hand-made spool and a real Kafka.

- ``machine``: the spool's folder of this machine and boot. ``start_sender``: starts one on it.
- ``door``: answers ``connect`` and takes artifacts, as the gateway does. ``ledger``: what the topics hold.
"""

import asyncio
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest
from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition

from runstone.events import decode
from runstone.spool.layout import MachineFolder
from runstone_gateway.artifacts import Artifacts
from runstone_gateway.stores.folder import FolderStore
from runstone_local.ports import free_ports
from tests.fix_services import Topics

DEADLINE = 30.0


async def until(condition, what="", deadline=DEADLINE):
    """Wait until *condition* gives something true, and give that."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within {deadline} s: {what or condition}")


class FrontDoor:
    """Answers ``connect`` as the gateway does, and takes artifacts with the gateway's own routes.

    Attributes:
        puts: how many files were sent. answering: while it is not set, they are stored but not answered.
    """

    def __init__(self, topics: Topics, root: Path) -> None:
        self.topics = topics
        self.root = root
        self.installation = "installation-a"
        self.bootstrap = topics.bootstrap
        self.port = free_ports(1)[0]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.puts = 0
        self.answering = asyncio.Event()
        self.answering.set()
        self._runner = None

    async def start(self) -> None:
        artifacts = Artifacts(FolderStore(self.root))

        async def put(request):
            self.puts += 1
            answer = await artifacts.put(request)
            await self.answering.wait()
            return answer

        app = web.Application(client_max_size=1 << 30)
        app.router.add_get("/api/v1/connect", self._connect)
        app.router.add_put("/api/v1/artifacts", put)
        app.router.add_get("/api/v1/artifacts", artifacts.get)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _connect(self, _request):
        return web.json_response(
            {
                "installation_id": self.installation,
                "bootstrap_servers": [self.bootstrap],
                "topics": {"events": self.topics.events, "catalog": self.topics.catalog},
                "partitions": self.topics.partitions,
                "artifact_root": self.root.as_uri(),
                "event_versions": [1],
                "web_url": self.uri,
            },
            headers={"Server": "runstone/0"},
        )


@pytest.fixture
async def door(topics, tmp_path):
    found = FrontDoor(topics, tmp_path / "store")
    found.root.mkdir()
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
def machine(tmp_path):
    folder = MachineFolder(tmp_path / "spool" / "machine-boot")
    folder.make()
    return folder


@pytest.fixture
def start_sender(machine):
    """Start a sender in the foreground; all that were started are ended, and their log is shown."""
    started = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-m", "runstone.sender", "--foreground", "--spool", str(machine.path)]
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
    if machine.sender_log.exists():
        print(machine.sender_log.read_text())


class Ledger:
    """Everything in a test's topics so far, by (session, stream)."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self.envelopes = []
        self._next = {}

    async def read(self):
        consumer = AIOKafkaConsumer(bootstrap_servers=self._topics.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            parts = [TopicPartition(self._topics.events, p) for p in range(self._topics.partitions)]
            parts.append(TopicPartition(self._topics.catalog, 0))
            consumer.assign(parts)
            ends = await consumer.end_offsets(parts)
            for part in parts:
                consumer.seek(part, self._next.get(part, 0))
            waiting = {part for part in parts if self._next.get(part, 0) < ends[part]}
            while waiting:
                for part, records in (await consumer.getmany(*waiting, timeout_ms=500)).items():
                    for record in records:
                        self._next[part] = record.offset + 1
                        self.envelopes.append(decode(record.value))
                    if self._next[part] >= ends[part]:
                        waiting.discard(part)
        finally:
            await consumer.stop()
        return self

    def records(self):
        """{(session, stream): {seq: event or (key, step, value)}}; equal seqs must have equal content."""
        found = defaultdict(dict)
        for envelope in self.envelopes:
            events = dict(zip(envelope.index, envelope.events, strict=True))
            table = envelope.points
            points = iter(
                [
                    (table.keys[k].key, s, t, v)
                    for k, s, t, v in zip(table.k, table.s, table.t, table.v, strict=True)
                ]
            )
            for i in range(envelope.n):
                content = events[i] if i in events else next(points)
                seq = envelope.first_seq + i
                known = found[envelope.session, envelope.stream].setdefault(seq, content)
                assert known == content
        return found

    def said(self, kind):
        """Of the ends those of others: a sender ends its own session beside each."""
        return [
            event
            for envelope in self.envelopes
            for event in envelope.events
            if isinstance(event, kind) and getattr(event, "session", "") != envelope.session
        ]

    async def has(self, session, stream, n):
        await self.read()
        return len(self.records()[session, stream]) >= n


@pytest.fixture
def ledger(topics):
    return Ledger(topics)
