"""Native envelopes by HTTP: what the gateway takes, and the sender's way round where brokers do not answer."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from runstone.events import CATALOG, Envelope, decode, encode, encoding
from runstone.events.identity import new_run_id, new_session_id, partition_of
from runstone.events.types import ExperimentCreated, Param, RunStarted
from runstone.exceptions import RunstoneError
from runstone.sender import publisher as publishing
from runstone.sender.detour import Detour, DetourAway, DetourRefused
from runstone.sender.publisher import Publisher, RecordRefused
from tests.fix_stack import Stack
from tests.publishing import points

UNREACHABLE = "127.0.0.1:1"


@pytest.fixture
def advertised_servers() -> str:
    return UNREACHABLE


def param(session: str, stream: str, seq: int) -> bytes:
    return encode(Envelope(session, stream, seq, 1, [0], [Param(f"p{seq}", str(seq), 5)]))


async def records(stack: Stack, partition: int) -> list[Any]:
    """Every record of a partition of the events topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.bootstrap)
    await consumer.start()
    try:
        part = TopicPartition(f"{stack.prefix}.events", partition)
        consumer.assign([part])
        await consumer.seek_to_beginning(part)
        end = (await consumer.end_offsets([part]))[part]
        found: list[Any] = []
        while await consumer.position(part) < end:
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                found += batch
        return found
    finally:
        await consumer.stop()


async def post(stack: Stack, body: bytes, **headers: str) -> tuple[int, Any]:
    said = {"Content-Type": "application/x-ndjson"} | headers
    async with stack.client.post("/api/v1/envelopes", data=io.BytesIO(body), headers=said) as answer:
        return answer.status, await answer.json()


async def test_envelopes_are_published_as_they_came_and_their_offsets_answered(stack: Stack) -> None:
    session, run = new_session_id(), new_run_id()
    start = encode(Envelope(session, run, 0, 1, [0], [RunStarted(0, "Default", "by http", 7)]))
    made = encode(Envelope(session, CATALOG, 0, 1, [0], [ExperimentCreated("by http", 5)]))
    table = encode(Envelope(session, run, 1, 2, [], [], points(("loss", 0, 5, 0.5), ("loss", 1, 6, 0.25))))
    status, answer = await post(stack, b"\n".join([start, made, table]))
    assert status == 200, answer
    first, catalog, second = answer["offsets"]
    partition = partition_of(run, stack.partitions)
    assert (catalog["topic"], catalog["partition"]) == (f"{stack.prefix}.catalog", 0)
    assert (first["topic"], first["partition"]) == (f"{stack.prefix}.events", partition)
    assert second["offset"] == first["offset"] + 1
    found = await records(stack, partition)
    assert [record.value for record in found] == [start, table]
    assert found[1].key == run.encode()
    assert list(found[1].headers) == encoding.headers(session, run, 1, 2)
    again = await post(stack, b"\n".join([start, made, table]) + b"\n")
    assert again[0] == 200
    await stack.database.until(
        "SELECT name FROM runs",
        lambda rows: rows == [("by http",)],
    )
    async with stack.client.get(f"/api/v1/runs/{run}/metrics/loss", params={"consistent": "true"}) as read:
        assert (await read.json())["steps"] == [0, 1]


async def test_one_bad_envelope_is_named_and_nothing_of_the_request_is_written(stack: Stack) -> None:
    session, run = new_session_id(), new_run_id()
    good = param(session, run, 0)
    for bad, why in (
        (b"{", "not JSON"),
        (b'{"v": 9}', "version 9"),
        (b"[]", "expected an object"),
        (good.replace(b'"n":1', b'"n":2'), "n is 2"),
        (b"x" * (5 << 20), "at most"),
        (b"", "not JSON"),
    ):
        status, answer = await post(stack, b"\n".join([good, bad, good]))
        assert (status, answer["index"]) == (400, 1)
        assert why in answer["detail"]
        assert "line 2" in answer["detail"]
    assert (await post(stack, b""))[0] == 400
    assert (await post(stack, good, **{"Content-Type": "text/plain"}))[0] == 415
    assert (await post(stack, good, **{"Content-Encoding": "gzip"}))[0] == 415
    assert (await post(stack, good, **{"Runstone-Installation": "another"}))[0] == 409
    assert await records(stack, partition_of(run, stack.partitions)) == []


async def test_a_body_of_more_than_64_megabytes_is_refused(stack: Stack) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(65):
            yield bytes(1 << 20)

    async with stack.client.post(
        "/api/v1/envelopes", data=body(), headers={"Content-Type": "application/x-ndjson"}
    ) as answer:
        assert answer.status == 413


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "DETOUR_AFTER", 0.3)
    monkeypatch.setattr(publishing, "DETOUR_AGAIN", 0.3)
    monkeypatch.setattr(publishing, "PROBE_LEAST", 0.2)


async def installation(stack: Stack) -> str:
    async with stack.client.get("/api/v1/connect") as answer:
        found = await answer.json()
        assert found["bootstrap_servers"] == [UNREACHABLE]
        return str(found["installation_id"])


async def test_records_go_round_and_back_in_order_with_every_one_applied_once(
    stack: Stack, quick: None
) -> None:
    troubles: list[str | None] = []
    detour = Detour(stack.url, await installation(stack))
    publisher = Publisher(UNREACHABLE, {}, troubles.append, detour=detour)
    session, runs = new_session_id(), [new_run_id() for _ in range(5)]
    futures: list[asyncio.Future[int]] = []

    def submit(low: int, high: int) -> None:
        for seq in range(low, high):
            for run in runs:
                partition = partition_of(run, stack.partitions)
                headers = encoding.headers(session, run, seq, 1)
                key, value = run.encode(), param(session, run, seq)
                futures.append(publisher.submit(f"{stack.prefix}.events", partition, key, value, headers))

    async def until_it_goes(round_: bool) -> None:
        """Log on until the way has changed, and some more."""
        async with asyncio.timeout(30):
            while publisher._goes_round is not round_:
                submit(len(futures) // 5, len(futures) // 5 + 1)
                await asyncio.sleep(0.01)
        submit(len(futures) // 5, len(futures) // 5 + 40)

    try:
        submit(0, 40)
        await until_it_goes(round_=True)
        async with asyncio.timeout(30):
            await asyncio.gather(*futures)
        assert troubles[0]
        assert troubles[-1] is None
        publisher.retarget(stack.bootstrap)
        await until_it_goes(round_=False)
        publisher.retarget(UNREACHABLE)
        await until_it_goes(round_=True)
        publisher.retarget(stack.bootstrap)
        await until_it_goes(round_=False)
        async with asyncio.timeout(30):
            await asyncio.gather(*futures)
    finally:
        await publisher.close()
    for partition in range(stack.partitions):
        seen: dict[str, int] = {}
        for record in await records(stack, partition):
            envelope = decode(record.value)
            assert envelope.first_seq <= seen.get(envelope.stream, -1) + 1
            seen[envelope.stream] = max(seen.get(envelope.stream, -1), envelope.first_seq)
        assert all(last == len(futures) // 5 - 1 for last in seen.values())
    count = len(futures) // 5
    await stack.database.until(
        "SELECT count(*)::int FROM params", lambda rows: rows == [(count * len(runs),)]
    )


async def test_what_the_gateway_refuses_for_good_is_taken_out_and_the_rest_goes_on(
    stack: Stack, quick: None
) -> None:
    publisher = Publisher(UNREACHABLE, {}, detour=Detour(stack.url, await installation(stack)))
    session, run = new_session_id(), new_run_id()
    values = [param(session, run, 0), b"no envelope", param(session, run, 1)]
    try:
        futures = [
            publisher.submit(
                f"{stack.prefix}.events", 0, run.encode(), value, encoding.headers(session, run, 0, 1)
            )
            for value in values
        ]
        async with asyncio.timeout(20):
            found = await asyncio.gather(*futures, return_exceptions=True)
    finally:
        await publisher.close()
    assert [isinstance(one, RecordRefused) for one in found] == [False, True, False]
    assert "not JSON" in str(found[1])


async def test_only_the_gateway_of_the_same_installation_takes_records(stack: Stack) -> None:
    value = param(new_session_id(), new_run_id(), 0)
    for uri, meant, error, why in (
        (stack.url, "another", DetourAway, "409"),
        ("http://127.0.0.1:1", "x", DetourAway, "does not answer"),
        (stack.url + "/elsewhere", "x", DetourAway, "elsewhere"),
        (stack.url, await installation(stack), DetourRefused, "not JSON"),
    ):
        detour = Detour(uri, meant)
        with pytest.raises(error, match=why) as raised:
            await detour.send([value, b"{"])
        assert isinstance(raised.value, RunstoneError)
        detour.close()


PROGRAM = """
import runstone
with runstone.start_run(run_name="round") as run:
    runstone.log_param("way", "http")
    for step in range(1000):
        runstone.log_metric("loss", 1 / (step + 1), step=step)
    print(run.run_id, flush=True)
assert run.wait_until_queryable(60), "it did not come"
"""


async def test_a_program_whose_machine_reaches_no_broker_is_recorded_whole(
    stack: Stack, tmp_path: Path
) -> None:
    said = await stack.run_program(PROGRAM, tmp_path / "spool")
    async with stack.client.get(f"/api/v1/runs/{said.strip()}") as answer:
        run = json.loads(await answer.read())
    assert run["params"] == {"way": "http"}
    assert run["completeness"]["complete"]
    assert run["status"] == "FINISHED"
