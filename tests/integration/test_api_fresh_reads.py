"""Reads that must have seen certain offsets: they wait for them, they say so when it will not be in time."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiokafka import AIOKafkaProducer

from runstone_query import configuration, snapshot
from runstone_query.app import application
from runstone_query.configuration import Configuration
from runstone_store import generation_changes
from tests.fix_api import TOPICS
from tests.fix_services import Topics
from tests.read_model_rows import Rows


def at_least(offset: Any, partition: Any = "2", topic: str = TOPICS["events"]) -> dict[str, str]:
    return {"Runstone-At-Least": json.dumps({topic: {partition: offset}})}


async def applied(rows: Rows, offset: int, partition: int = 2, topic: str = TOPICS["events"]) -> None:
    await rows.connection.execute(
        """INSERT INTO ingest_partitions (topic, partition, next_offset) VALUES ($1, $2, $3)
           ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset""",
        topic,
        partition,
        offset,
    )


async def committed(rows: Rows) -> None:
    await rows.connection.execute("SELECT pg_notify('runstone_applied', 'runstone_g1')")


async def test_a_read_waits_for_its_offsets_and_is_answered_by_the_commit_that_brings_them(
    api: TestClient, rows: Rows
) -> None:
    await applied(rows, 4)
    run_id = await rows.run(name="before")
    async with api.get(f"/api/v1/runs/{run_id}", headers=at_least(4)) as answer:
        assert (await answer.json())["name"] == "before"
    reading = asyncio.create_task(api.get(f"/api/v1/runs/{run_id}", headers=at_least(6)))
    for offset in (4, 5):  # a commit that does not bring them answers nobody
        await applied(rows, offset)
        await committed(rows)
        done, _ = await asyncio.wait([reading], timeout=0.15)
        assert not done
    async with rows.connection.transaction():
        await rows.connection.execute("UPDATE runs SET name = 'after'")
        await applied(rows, 6)
        await committed(rows)
    async with await reading as answer:
        assert (await answer.json())["name"] == "after"


async def test_a_lost_notification_is_made_up_for(api: TestClient, rows: Rows) -> None:
    run_id = await rows.run()
    reading = asyncio.create_task(api.get(f"/api/v1/runs/{run_id}?min_offset=2:1,0:0"))
    done, _ = await asyncio.wait([reading], timeout=0.15)
    assert not done
    await applied(rows, 1)
    async with asyncio.timeout(2), await reading as answer:
        assert answer.status == 200


async def test_what_will_not_be_reached_in_time_is_said_so(
    api: TestClient, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "WAIT_MAX_S", 0.3)
    await applied(rows, 4)
    async with api.get("/api/v1/runs/x", headers=at_least(5)) as answer:
        found = await answer.json()
        assert (answer.status, found["type"]) == (503, "urn:runstone:problem:behind")
        assert answer.headers["Retry-After"] == "5"
    async with api.get("/api/v1/runs/x", headers=at_least(1, topic=TOPICS["catalog"])) as answer:
        assert answer.status == 503


async def test_a_backlog_is_refused_early_with_the_time_that_it_will_take(
    api: TestClient, rows: Rows
) -> None:
    reading = asyncio.create_task(api.get("/api/v1/runs/x", headers=at_least(100_000)))
    begun, offset = time.monotonic(), 0
    while not reading.done():
        offset += 100
        await applied(rows, offset)
        await committed(rows)
        await asyncio.wait([reading], timeout=0.05)
        assert time.monotonic() - begun < configuration.WAIT_MAX_S / 2
    async with await reading as answer:
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 20


async def test_a_flip_to_a_generation_that_is_behind_is_waited_for(api: TestClient, rows: Rows) -> None:
    await applied(rows, 6)
    run_id = await rows.run(name="first generation")
    name, _ = await generation_changes.begin(rows.connection, None, None, "")
    await rows.connection.execute(
        f"""INSERT INTO {name}.ingest_partitions SELECT * FROM ingest_partitions;
           UPDATE {name}.ingest_partitions SET next_offset = 5;
           INSERT INTO {name}.runs SELECT * FROM runs;
           UPDATE {name}.runs SET name = 'second generation'"""
    )
    await rows.connection.execute("UPDATE runstone_meta.live SET generation = $1", name)
    reading = asyncio.create_task(api.get(f"/api/v1/runs/{run_id}", headers=at_least(6)))
    done, _ = await asyncio.wait([reading], timeout=0.3)
    assert not done
    await rows.connection.execute(f"UPDATE {name}.ingest_partitions SET next_offset = 6")
    async with asyncio.timeout(2), await reading as answer:
        assert (await answer.json())["name"] == "second generation"


@pytest.mark.parametrize(
    "headers",
    [
        {"Runstone-At-Least": "junk"},
        {"Runstone-At-Least": "[]"},
        {"Runstone-At-Least": '"\\ud800"'},
        at_least(-1),
        at_least("5"),
        at_least(2**60),
        at_least(True),
        at_least(1, partition="x"),
        at_least(1, topic="another installation's"),
        {"Runstone-At-Least": json.dumps({TOPICS["events"]: 3})},
    ],
)
async def test_a_malformed_header_is_refused(api: TestClient, rows: Rows, headers: dict[str, str]) -> None:
    for path in ("/api/v1/runs/x", "/internal/v1/verdicts/x"):
        async with api.get(path, headers=headers) as answer:
            assert answer.status == 400, await answer.text()


@pytest.mark.parametrize(
    "query", ["min_offset=", "min_offset=1", "min_offset=1:-1", "min_offset=a:1", "consistent=yes"]
)
async def test_a_malformed_query_is_refused(api: TestClient, rows: Rows, query: str) -> None:
    async with api.get(f"/api/v1/runs/x?{query}") as answer:
        assert answer.status == 400, await answer.text()
    async with api.post(f"/api/v1/runs/search?{query}", json={}) as answer:
        assert answer.status == 400, await answer.text()


async def test_consistent_without_kafka_says_so(api: TestClient, rows: Rows) -> None:
    await rows.insert("installation", installation_id="i", partitions=2, creation_time=1)
    async with api.get("/api/v1/runs/x?consistent=true") as answer:
        assert (answer.status, (await answer.json())["type"]) == (503, "urn:runstone:problem:kafka-away")


@pytest.fixture
async def api_with_kafka(database: str, topics: Topics) -> AsyncIterator[TestClient]:
    named = {"events": topics.events, "catalog": topics.catalog}
    app = application(Configuration(database, None, topics.bootstrap, named))
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_consistent_waits_for_all_that_kafka_holds_at_that_moment(
    api_with_kafka: TestClient, rows: Rows, topics: Topics
) -> None:
    await rows.insert("installation", installation_id="i", partitions=topics.partitions, creation_time=1)
    async with api_with_kafka.get("/api/v1/experiments?consistent=true") as answer:
        assert answer.status == 200
    async with AIOKafkaProducer(bootstrap_servers=topics.bootstrap) as producer:
        await producer.send_and_wait(topics.events, b"x", partition=1)
    # at once after the answer before: an end that Kafka told a moment ago is not good enough
    reading = asyncio.create_task(api_with_kafka.get("/api/v1/experiments?consistent=true"))
    done, _ = await asyncio.wait([reading], timeout=0.3)
    assert not done
    await applied(rows, 1, partition=1, topic=topics.events)
    async with asyncio.timeout(2), await reading as answer:
        assert answer.status == 200
