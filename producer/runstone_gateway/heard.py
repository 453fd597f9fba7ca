"""``POST /api/v1/heard``: senders say which sessions are in their care, and so which ones live.

The body is ``{"sessions": [id, …]}``. It is published as it was understood, to the topic
``<prefix>.liveness``, which is no part of the ledger (`runstone_ingest.heard` reads it), and answered with
202 when Kafka has it. A heartbeat that Kafka does not take in time stays queued as long as that costs little
memory: one that arrives late keeps a session alive for a while too long, which harms nobody.

Once a minute the gateway publishes a heartbeat without sessions, so that silence of everybody can be told
from a way that is cut. Everything runs on the gateway's loop; the task that does so is cancelled on stop.
"""

import asyncio
import re
from typing import Any, Final

import orjson
from aiohttp import web

from runstone.exceptions import ServerError
from runstone.sender.kafka_settings import kafka_settings
from runstone.sender.publisher import Publisher, PublisherClosed, RecordRefused
from runstone_gateway.installation import Facts, Installation
from runstone_gateway.problems import problem

SESSIONS_MOST: Final = 10_000
BODY_MOST: Final = 512 * 1024
"""Of a request; a sender with more sessions makes several."""

WAITING_MOST: Final = 8 * 1024 * 1024
"""Bytes that wait for Kafka's acknowledgement, beyond which the answer is 503 at once."""

ACK_DEADLINE: Final = 4.0
"""Seconds for Kafka to acknowledge, less than what a sender waits for the answer."""

STOP_DEADLINE: Final = 1.0
"""Seconds for Kafka to be left."""

SIGN_EVERY: Final = 60.0
_AGAIN: Final = 1.0

_ID: Final = re.compile(r"[0-9a-f]{32}")


class Heard:
    """The route and the gateway's own sign of life, with a publisher of their own."""

    def __init__(self, bootstrap_servers: str, installation: Installation) -> None:
        self._servers = bootstrap_servers
        self._installation = installation
        self._publisher: Publisher | None = None
        self._signing: asyncio.Task[None] | None = None
        self._waiting = 0
        self._trouble = ""

    async def start(self) -> None:
        """Nothing is connected yet."""
        self._publisher = Publisher(
            self._servers, kafka_settings(), self._on_trouble, client_id="runstone-gateway-heard"
        )
        self._signing = asyncio.create_task(self._sign(), name="signs of life")

    async def stop(self) -> None:
        """Leave Kafka; requests that wait are answered with 503."""
        if self._signing is not None:
            self._signing.cancel()
            await asyncio.gather(self._signing, return_exceptions=True)
        if self._publisher is not None:
            # a Kafka that is away must not hold up the gateway's stop
            await asyncio.wait({asyncio.create_task(self._publisher.close())}, timeout=STOP_DEADLINE)

    async def post(self, request: web.Request) -> web.Response:
        """Publish the body's sessions; 202 when Kafka has acknowledged them.

        400 where it is no such body, 409 where it is meant for another installation, 413, 415, 503 where
        Kafka does not acknowledge in time.
        """
        if request.content_type != "application/json":
            return problem(
                415, "Not JSON", f"Content-Type is {request.content_type!a}; expected application/json"
            )
        body = b""
        async for part in request.content.iter_any():
            body += part
            if len(body) > BODY_MOST:
                return problem(413, "Too large", f"a request may have {BODY_MOST} bytes; make several")
        try:
            sessions = _sessions(body)
        except ValueError as wrong:
            return problem(400, "Not sessions", str(wrong))
        try:
            facts = await self._installation.facts()
        except ServerError as wrong:
            return problem(503, "The installation is not ready", str(wrong))
        meant = request.headers.get("Runstone-Installation", facts.installation_id)
        if meant != facts.installation_id:
            return problem(
                409,
                "Another installation",
                f"this is installation {facts.installation_id}, the sessions are for {meant[:100]!a}",
            )
        if self._waiting > WAITING_MOST:
            return problem(503, "Too much waits for Kafka", self._trouble)
        return await self._published(sessions, facts)

    async def _published(self, sessions: list[str], facts: Facts) -> web.Response:
        future = self._publish(sessions, facts)
        await asyncio.wait({future}, timeout=ACK_DEADLINE)
        if not future.done():
            return problem(
                503, "Kafka has not acknowledged", self._trouble or f"not in {ACK_DEADLINE:.0f} seconds"
            )
        try:
            future.result()
        except (PublisherClosed, RecordRefused) as wrong:
            return problem(503, "The heartbeat was not published", str(wrong))
        return web.Response(status=202)

    def _publish(self, sessions: list[str], facts: Facts) -> "asyncio.Future[int]":
        assert self._publisher is not None
        value = orjson.dumps({"sessions": sessions})
        future = self._publisher.submit(_topic(facts), 0, b"", value, [])
        self._waiting += len(value)

        def settled(done: "asyncio.Future[int]") -> None:
            self._waiting -= len(value)
            if not done.cancelled():
                done.exception()  # told to whoever still waits

        future.add_done_callback(settled)
        return future

    async def _sign(self) -> None:
        while True:
            try:
                await asyncio.wait({self._publish([], await self._installation.facts())})
            except (ServerError, PublisherClosed):
                await asyncio.sleep(_AGAIN)
                continue
            await asyncio.sleep(SIGN_EVERY)

    def _on_trouble(self, trouble: str | None) -> None:
        self._trouble = trouble or ""


def _topic(facts: Facts) -> str:
    """The topic beside the events'; installations that share a Kafka differ in what stands before."""
    return facts.topics["events"].removesuffix(".events") + ".liveness"


def _sessions(body: bytes) -> list[str]:
    """The sessions that *body* names. Raises ValueError with a sentence where it is not what it must be."""
    try:
        found: Any = orjson.loads(body)
    except orjson.JSONDecodeError as wrong:
        raise ValueError(f"the body is no JSON: {wrong}") from None
    sessions = found.get("sessions") if isinstance(found, dict) else None
    if not isinstance(sessions, list) or not 1 <= len(sessions) <= SESSIONS_MOST:
        raise ValueError(f'expected {{"sessions": […]}} with 1 to {SESSIONS_MOST} ids of sessions')
    for session in sessions:
        if not isinstance(session, str) or _ID.fullmatch(session) is None:
            raise ValueError(f"{str(session)[:100]!a} is no session's id; expected 32 hexadecimal digits")
    return sessions
