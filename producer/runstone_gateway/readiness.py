"""``GET /health`` (the process lives) and ``GET /ready`` (a write would be accepted and a read answered)."""

import asyncio
from typing import Final

import aiohttp
from aiohttp import web
from aiokafka.admin import AIOKafkaAdminClient

from runstone.exceptions import ServerError
from runstone.sender.kafka_settings import kafka_settings
from runstone_gateway.configuration import Configuration
from runstone_gateway.forwarding import Forwarding
from runstone_gateway.installation import Installation
from runstone_gateway.problems import problem

DEADLINE: Final = 5.0
"""Seconds in which Kafka must tell its leaders to count as ready."""


class Readiness:
    """Runs in the gateway's loop. The admin connection is made when first asked for, thrown away after a
    failure, and used by one request at a time (the lock), since a broken one is replaced.
    """

    def __init__(
        self, configuration: Configuration, installation: Installation, forwarding: Forwarding
    ) -> None:
        self._bootstrap = configuration.bootstrap_servers
        self._installation = installation
        self._forwarding = forwarding
        self._admin: AIOKafkaAdminClient | None = None
        self._lock = asyncio.Lock()

    async def health(self, _request: web.Request) -> web.Response:
        """200 as long as this process answers."""
        return web.Response(text="OK")

    async def ready(self, _request: web.Request) -> web.Response:
        """200, or 503 with the reason why a write or a read would fail now."""
        try:
            facts = await self._installation.facts()
            await self._check_reads()
            await self._check_writes(list(facts.topics.values()))
        except ServerError as wrong:
            return problem(503, "Not ready", str(wrong))
        return web.Response(text="OK")

    async def stop(self) -> None:
        async with self._lock:
            await self._drop()

    async def _check_reads(self) -> None:
        try:
            status, found = await self._forwarding.get_json("/ready")
        except ValueError:
            return  # 200 with a text
        except (TimeoutError, aiohttp.ClientError) as away:
            raise ServerError(f"the read API does not answer ({type(away).__name__})") from away
        if status != 200:
            raise ServerError(str(found.get("detail", f"the read API answers {status}")))

    async def _check_writes(self, topics: list[str]) -> None:
        async with self._lock:
            try:
                async with asyncio.timeout(DEADLINE):
                    if self._admin is None:
                        self._admin = AIOKafkaAdminClient(
                            bootstrap_servers=self._bootstrap,
                            client_id="runstone-gateway",
                            **kafka_settings(),
                        )
                        await self._admin.start()
                    described = await self._admin.describe_topics(topics)
            except Exception as away:  # aiokafka raises many kinds; each means that Kafka cannot be asked
                await self._drop()
                raise ServerError(
                    f"Kafka at {self._bootstrap} does not answer ({type(away).__name__})"
                ) from away
        for topic in described:
            leaderless = [p["partition"] for p in topic["partitions"] if p["leader"] < 0]
            if topic["error_code"] or leaderless or not topic["partitions"]:
                raise ServerError(
                    f"the topic {topic['topic']} cannot be written (error {topic['error_code']}, "
                    f"partitions without a leader: {leaderless}); see 'runstone topic check'"
                )

    async def _drop(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            try:
                async with asyncio.timeout(1):
                    await admin.close()
            except Exception:  # noqa: S110 - closing a broken connection may fail in any way; it is gone
                pass
