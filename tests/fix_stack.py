"""Everything between an HTTP client and the read model, in the test's own event loop.

- ``artifact_root``: the store of ``stack``; a folder, unless a test module says otherwise.
- ``advertised_servers``: what ``stack`` tells senders as Kafka's address; the right one, likewise.
- ``lost_after``: the seconds after which ``stack`` gives up silent sessions; never, likewise.
- ``stack``: a gateway, with the read API and a worker behind it, over real Kafka and Postgres (``Stack``).
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from runstone_gateway import app as gateway_app
from runstone_gateway import configuration as gateway_configuration
from runstone_gateway.listening import Runner
from runstone_query import app as query_app
from runstone_query import configuration as query_configuration
from tests.fix_worker import PARTITIONS, working
from tests.publishing import Database, Publisher


class Served(TestServer):
    """Serves as the gateway's command does."""

    async def _make_runner(self, **_of_tests: Any) -> web.AppRunner:
        return Runner(self.app)


@dataclass
class Stack:
    """Attributes:
    client: speaks to the gateway, at ``url``.
    database: the read model, for whoever looks behind the API.
    environment: what the gateway was configured by.
    """

    client: TestClient
    database: Database
    bootstrap: str
    prefix: str
    partitions: int
    environment: dict[str, str]

    @property
    def url(self) -> str:
        return str(self.client.make_url("")).rstrip("/")

    async def run_program(self, program: str, spool: Path) -> str:
        """What a training program prints that logs to this stack with a spool of its own; it must end well."""
        environment = os.environ | {
            "RUNSTONE_TRACKING_URI": self.url,
            "RUNSTONE_SPOOL": str(spool),
            "RUNSTONE_QUIET": "1",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, env=environment, stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(60):
            said, _ = await process.communicate()
        assert process.returncode == 0
        return said.decode()


@pytest.fixture
def artifact_root(tmp_path: Path) -> str:
    return (tmp_path / "artifact store").as_uri()


@pytest.fixture
def advertised_servers(kafka: str) -> str:
    return kafka


@pytest.fixture
def lost_after() -> float | None:
    return None


@pytest.fixture
async def stack(
    kafka: str,
    database: str,
    prefix: str,
    publish: Publisher,
    db: Database,
    artifact_root: str,
    advertised_servers: str,
    lost_after: float | None,
) -> AsyncIterator[Stack]:
    environment = {
        "RUNSTONE_BOOTSTRAP_SERVERS": kafka,
        "RUNSTONE_ADVERTISED_SERVERS": advertised_servers,
        "RUNSTONE_READ_DSN": database,
        "RUNSTONE_TOPIC_PREFIX": prefix,
        "RUNSTONE_ARTIFACT_ROOT": artifact_root,
    }
    async with contextlib.AsyncExitStack() as opened:
        await opened.enter_async_context(working(kafka, database, prefix, lost_after))
        api = Served(query_app.application(query_configuration.from_environment(environment)))
        await opened.enter_async_context(api)
        environment["RUNSTONE_API_URL"] = str(api.make_url("")).rstrip("/")
        gateway = _application(environment)
        client = await opened.enter_async_context(TestClient(Served(gateway), auto_decompress=False))
        await db.applied(1)
        yield Stack(client, db, kafka, prefix, PARTITIONS, environment)


def another_gateway(stack: Stack) -> TestClient:
    """A client of a second gateway to the same installation, for as long as its context lasts."""
    return TestClient(Served(_application(stack.environment)), auto_decompress=False)


def _application(environment: dict[str, str]) -> web.Application:
    return gateway_app.application(gateway_configuration.from_environment(environment))
