"""``POST /api/v1/envelopes``: takes in the native envelopes of a sender that cannot reach the brokers.

The body is one envelope a line, each the very bytes of a Kafka record's value (``docs/events.md``), which
hold no newline. All of them are checked before any is published. They are published as they came, with the
headers and to the partition that belong to them, under their own sessions and seqs: whoever sends the same
again, here or to Kafka, changes nothing, since receivers drop what they have.

Everything runs on the gateway's loop but the check, which a thread does. Envelopes of one request enter the
publisher's queues without an await in between, so they stay in order; those of two requests are in the order
in which their checks end, which is why a sender awaits one answer before it sends what comes after it. When
Kafka does not acknowledge in time the answer is 503 and the records stay queued; the same envelopes sent
again join those that wait, so that a sender's patience costs no memory.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import orjson
from aiohttp import web

from runstone.events import CATALOG, decode
from runstone.events.encoding import Headers, headers
from runstone.events.identity import partition_of
from runstone.events.limits import ENVELOPE_MAX, MIB
from runstone.exceptions import MalformedEnvelopeError, ServerError
from runstone.sender.kafka_settings import kafka_settings
from runstone.sender.publisher import Publisher, PublisherClosed, RecordRefused
from runstone_gateway.installation import Facts, Installation
from runstone_gateway.problems import problem

BODY_MOST: Final = 64 * MIB
"""Bytes of a request."""

WAITING_MOST: Final = 128 * MIB
RECEIVED_MOST: Final = 256 * MIB
"""Bytes that wait for Kafka's acknowledgement, and of bodies in memory, of all requests together; beyond them
the answer is 503 at once."""

ACK_DEADLINE: Final = 15.0
"""Seconds for Kafka to acknowledge, less than what a sender waits for the answer."""

MEDIA_TYPE: Final = "application/x-ndjson"

Identity = tuple[str, str, int, int]


@dataclass(frozen=True, slots=True)
class _Record:
    """A checked envelope: session, stream, first seq and number of records, and its bytes."""

    identity: Identity
    value: bytes

    @property
    def headers(self) -> Headers:
        return headers(*self.identity)


class _BadEnvelopeError(Exception):
    def __init__(self, index: int, why: str) -> None:
        super().__init__(why)
        self.index = index


class Envelopes:
    """The route, with a publisher of its own."""

    def __init__(self, bootstrap_servers: str, installation: Installation) -> None:
        self._servers = bootstrap_servers
        self._installation = installation
        self._publisher: Publisher | None = None
        self._waiting: dict[Identity, asyncio.Future[int]] = {}
        self._bytes = 0
        self._received = 0

    async def start(self) -> None:
        """Nothing is connected yet."""
        self._publisher = Publisher(self._servers, kafka_settings(), client_id="runstone-gateway-envelopes")

    async def stop(self) -> None:
        """Leave Kafka; requests that wait are answered with 503."""
        if self._publisher is not None:
            await self._publisher.close()

    async def post(self, request: web.Request) -> web.Response:
        """Publish the body's envelopes; 200 with topic, partition and offset of each.

        400 where one is none (nothing is published), 409 where they are another installation's, 413, 415,
        422 where the broker refuses one for good, 503 where Kafka does not acknowledge in time.
        """
        if (refusal := _unfit(request)) is not None:
            return refusal
        try:
            facts = await self._installation.facts()
        except ServerError as wrong:
            return problem(503, "The installation is not ready", str(wrong))
        meant = request.headers.get("Runstone-Installation", facts.installation_id)
        if meant != facts.installation_id:
            return problem(
                409,
                "Another installation",
                f"this is installation {facts.installation_id}, the envelopes are for {meant[:100]!a}",
            )
        parts: list[bytes] = []
        try:
            refusal = await self._receive(request, parts)
            return refusal or await self._check_and_publish(parts, facts)
        finally:
            self._received -= sum(map(len, parts))

    async def _receive(self, request: web.Request, parts: list[bytes]) -> web.Response | None:
        """Read the body into *parts*; the answer where it is too much."""
        size = 0
        async for part in request.content.iter_any():
            parts.append(part)
            size += len(part)
            self._received += len(part)
            if size > BODY_MOST:
                return _too_large()
            if self._received > RECEIVED_MOST:
                return problem(503, "Too many requests at once", "send the same again in a moment")
        return None

    async def _check_and_publish(self, parts: list[bytes], facts: Facts) -> web.Response:
        try:
            records = await asyncio.to_thread(_checked, b"".join(parts))
        except _BadEnvelopeError as wrong:
            return problem(
                400,
                "Not an envelope",
                f"line {wrong.index + 1}: {wrong}; nothing of the request was published",
                index=wrong.index,
            )
        return await self._publish(records, facts)

    async def _publish(self, records: list[_Record], facts: Facts) -> web.Response:
        size = sum(len(record.value) for record in records)
        if self._bytes and self._bytes + size > WAITING_MOST:
            return problem(503, "Too much waits for Kafka", "send the same again in a moment")
        places = [_place(facts, record.identity[1]) for record in records]
        futures = [self._submitted(r, place) for r, place in zip(records, places, strict=True)]
        await asyncio.wait(set(futures), timeout=ACK_DEADLINE)
        offsets = []
        for index, (future, (topic, partition)) in enumerate(zip(futures, places, strict=True)):
            if not future.done():
                return problem(
                    503,
                    "Kafka has not acknowledged",
                    f"not in {ACK_DEADLINE:.0f} s; the envelopes are kept, send the same again in a moment",
                )
            try:
                offsets.append({"topic": topic, "partition": partition, "offset": future.result()})
            except RecordRefused as refused:
                return problem(422, "Kafka refuses an envelope", str(refused), index=index)
            except PublisherClosed:
                return problem(503, "The gateway stops", "send the same again in a moment")
        return web.Response(body=orjson.dumps({"offsets": offsets}), content_type="application/json")

    def _submitted(self, record: _Record, place: tuple[str, int]) -> "asyncio.Future[int]":
        waiting = self._waiting.get(record.identity)
        if waiting is not None:
            return waiting
        assert self._publisher is not None
        key = record.identity[1].encode()
        future = self._publisher.submit(*place, key, record.value, record.headers)
        self._waiting[record.identity] = future
        self._bytes += len(record.value)

        def settled(done: "asyncio.Future[int]") -> None:
            self._bytes -= len(record.value)
            del self._waiting[record.identity]
            if not done.cancelled():
                done.exception()  # told to whoever still waits

        future.add_done_callback(settled)
        return future


def _unfit(request: web.Request) -> web.Response | None:
    if request.content_type not in {MEDIA_TYPE, "application/json"}:
        return problem(
            415,
            "Not envelopes",
            f"Content-Type is {request.content_type!a}; expected {MEDIA_TYPE}: one envelope a line",
        )
    if request.headers.get("Content-Encoding", "identity") != "identity":
        return problem(415, "A compressed body", "send the envelopes as they are, without Content-Encoding")
    if (request.content_length or 0) > BODY_MOST:
        return _too_large()
    return None


def _too_large() -> web.Response:
    return problem(413, "Too large", f"a request may have {BODY_MOST} bytes; send fewer envelopes at once")


def _checked(body: bytes) -> list[_Record]:
    """The envelopes of *body*. Raises `_BadEnvelopeError` for the first that is none. Runs in a thread."""
    records = list(_each(body.splitlines()))
    if not records:
        raise _BadEnvelopeError(0, "the body is empty; expected one envelope a line")
    return records


def _each(lines: Iterable[bytes]) -> Iterable[_Record]:
    for index, line in enumerate(lines):
        if len(line) > ENVELOPE_MAX:
            raise _BadEnvelopeError(
                index, f"the envelope has {len(line)} bytes; at most {ENVELOPE_MAX} are possible"
            )
        try:
            found = decode(line)
        except MalformedEnvelopeError as wrong:
            raise _BadEnvelopeError(index, str(wrong)) from None
        yield _Record((found.session, found.stream, found.first_seq, found.n), line)


def _place(facts: Facts, stream: str) -> tuple[str, int]:
    if stream == CATALOG:
        return facts.topics["catalog"], 0
    return facts.topics["events"], partition_of(stream, facts.partitions)
