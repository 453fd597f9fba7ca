"""How the read API says how it is, and what it says to requests that are wrong."""

import asyncio
import io
import re
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiokafka import AIOKafkaProducer

from runstone_query.app import ROUTES, application
from runstone_query.configuration import Configuration
from runstone_store.generations import FIRST
from tests.fix_api import TOPICS
from tests.fix_services import Topics
from tests.read_model_rows import Rows

RUN = "/api/v1/runs/x"
OTHERS = ("/internal/", "/api/2.0/", "/ajax-api/")
"""What the gateway asks for itself, and what MLflow's own documents describe."""


async def test_health_and_readiness(api: TestClient) -> None:
    async with api.get("/health") as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "alive"})
    async with api.get("/ready") as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "ready", "alarms": []})


async def test_the_installation_is_told_once_the_catalog_has_told_it(
    api: TestClient, rows: Rows, root: Any
) -> None:
    async with api.get("/api/v1/installation") as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["Content-Type"] == "application/problem+json"
    await rows.insert("installation", installation_id="i", partitions=12, creation_time=1)
    async with api.get("/api/v1/installation") as answer:
        assert await answer.json() == {
            "installation_id": "i",
            "partitions": 12,
            "topics": TOPICS,
            "artifact_root": root.as_uri(),
        }


async def test_nothing_is_written_by_this_service(api: TestClient) -> None:
    """Also with the DSN of the worker: the sessions are read-only and, where it exists, another role's."""
    async with api.get("/ready") as answer:
        assert answer.status == 200
    from runstone_query.services import MODEL
    from runstone_query.statements import fill

    async def settings(snapshot: Any) -> Any:
        assert fill("{schema}", schema=snapshot.generation) == FIRST
        return await snapshot.row(
            "SELECT current_user AS who, current_setting('default_transaction_read_only') AS ro, "
            "current_setting('transaction_isolation') AS isolation"
        )

    found = await api.server.app[MODEL].read(settings)
    assert (found["who"], found["ro"], found["isolation"]) == ("runstone_reader", "on", "repeatable read")


async def test_ingest_is_measured_against_the_ends_that_kafka_tells(
    database: str, rows: Rows, topics: Topics
) -> None:
    configuration = Configuration(
        database, None, topics.bootstrap, {"events": topics.events, "catalog": topics.catalog}
    )
    async with AIOKafkaProducer(bootstrap_servers=topics.bootstrap) as producer:
        for _ in range(5):
            await producer.send_and_wait(topics.events, b"x", partition=1)
        await producer.send_and_wait(topics.catalog, b"x", partition=0)
    await rows.insert("installation", installation_id="i", partitions=topics.partitions, creation_time=1)
    await rows.insert(
        "ingest_partitions", topic=topics.events, partition=1, next_offset=3, records=3, duplicates=1, dead=2
    )
    await rows.insert(
        "halts", topic=topics.events, partition=1, kind="lost", reason="it is gone", version="1"
    )
    await rows.insert("ledger_findings", finding="retention is a week")
    async with TestClient(TestServer(application(configuration))) as api:
        async with api.get("/api/v1/ingest") as answer:
            found = await answer.json()
        async with api.get("/ready") as answer:
            assert (answer.status, (await answer.json())["alarms"]) == (200, found["alarms"])
    assert found["alarms"] == [
        f"{topics.events}/1 halts: it is gone; see 'runstone repair list'",
        "retention is a week",
    ]
    by_place = {(p["topic"], p["partition"]): p for p in found["partitions"]}
    assert len(by_place) == topics.partitions + 1
    one = by_place[topics.events, 1]
    assert one.pop("updated_at") > 1_600_000_000_000
    assert one.pop("halted").pop("since") > 1_600_000_000_000
    assert one == {
        "topic": topics.events,
        "partition": 1,
        "next_offset": 3,
        "end_offset": 5,
        "lag_records": 2,
        "dead_letters": 2,
        "records": 3,
        "duplicates": 1,
    }
    assert by_place[topics.catalog, 0]["lag_records"] == 1
    assert by_place[topics.catalog, 0]["halted"] is None
    assert (found["lag_records"], found["lag_unknown_because"]) == (3, None)


async def test_ingest_says_why_the_lag_is_unknown_when_kafka_is_away(database: str, rows: Rows) -> None:
    await rows.insert("ingest_partitions", topic="t.events", partition=0, next_offset=3)
    configuration = Configuration(database, None, "127.0.0.1:1", TOPICS)
    async with TestClient(TestServer(application(configuration))) as api, api.get("/api/v1/ingest") as answer:
        found = await answer.json()
    assert answer.status == 200
    assert found["partitions"][0]["next_offset"] == 3
    assert found["partitions"][0]["end_offset"] is found["partitions"][0]["lag_records"] is None
    assert found["lag_records"] is None
    assert "127.0.0.1:1" in found["lag_unknown_because"]


async def test_a_database_that_is_away_or_not_migrated_is_503(empty_database: str) -> None:
    for dsn, kind in (
        ("postgresql://nobody@127.0.0.1:1/none", "read-model-away"),
        (empty_database, "no-read-model"),
    ):
        app = application(Configuration(dsn, None, "", TOPICS))
        async with TestClient(TestServer(app)) as api:
            async with api.get("/health") as answer:
                assert answer.status == 200
            for path in ("/ready", RUN, "/api/v1/ingest"):
                async with api.get(path) as answer:
                    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
                    assert (await answer.json())["type"] == f"urn:runstone:problem:{kind}"


async def test_connections_that_the_database_cuts_are_made_again(api: TestClient, rows: Rows) -> None:
    run_id = await rows.run()

    async def status() -> int:
        async with api.get(f"/api/v1/runs/{run_id}") as answer:
            return answer.status

    for _ in range(10):
        assert {200} == set(await asyncio.gather(*(status() for _ in range(12))))
        await rows.connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'runstone api' AND datname = current_database()"
        )
        async with asyncio.timeout(10):
            while (found := await status()) != 200:
                assert found == 503


WRONG = [
    ("POST", "/api/v1/runs/search", {"filtre": "x"}, "body, the member 'filtre'"),
    ("POST", "/api/v1/runs/search", [], "body"),
    ("POST", "/api/v1/runs/search", "text", "body"),
    ("POST", "/api/v1/runs/search", b"{", "body"),
    ("POST", "/api/v1/runs/search", b'{"filter": "\xff"}', "body"),
    ("POST", "/api/v1/runs/search", b'{"filter": "\\ud800"}', "body"),
    ("POST", "/api/v1/runs/search", b"[" * 100_000, "body"),
    ("POST", "/api/v1/runs/search", {"limit": 0}, "limit"),
    ("POST", "/api/v1/runs/search", {"limit": 1001}, "limit"),
    ("POST", "/api/v1/runs/search", {"limit": "10"}, "limit"),
    ("POST", "/api/v1/runs/search", {"limit": True}, "limit"),
    ("POST", "/api/v1/runs/search", {"limit": 1.0}, "limit"),
    ("POST", "/api/v1/runs/search", {"view": "some"}, "view"),
    ("POST", "/api/v1/runs/search", {"view": None}, "view"),
    ("POST", "/api/v1/runs/search", {"experiment_names": "churn"}, "experiment_names"),
    ("POST", "/api/v1/runs/search", {"experiment_names": ["a", 1]}, "experiment_names[1]"),
    ("POST", "/api/v1/runs/search", {"experiment_names": ["\0"]}, "experiment_names[0]"),
    ("POST", "/api/v1/runs/search", {"experiment_ids": [-1]}, "experiment_ids[0]"),
    ("POST", "/api/v1/runs/search", {"experiment_ids": [2**53]}, "experiment_ids[0]"),
    ("POST", "/api/v1/runs/search", {"experiment_ids": ["٣"]}, "experiment_ids[0]"),
    ("POST", "/api/v1/runs/search", {"filter": "metrics.a >"}, "filter"),
    ("POST", "/api/v1/runs/search", {"filter": "metrics.a = 'x\0'"}, "filter"),
    ("POST", "/api/v1/runs/search", {"filter": 7}, "filter"),
    ("POST", "/api/v1/runs/search", {"order_by": "start_time"}, "order_by"),
    ("POST", "/api/v1/runs/search", {"order_by": ["start_time", "created DESC"]}, "order_by[1]"),
    ("POST", "/api/v1/runs/search", {"order_by": ["metrics.a SIDEWAYS"]}, "order_by[0]"),
    ("POST", "/api/v1/runs/compare", {}, "run_ids"),
    ("POST", "/api/v1/runs/compare", {"run_ids": []}, "run_ids"),
    ("POST", "/api/v1/runs/compare", {"run_ids": ["a"] * 101}, "run_ids"),
    ("POST", "/api/v1/runs/compare", {"run_ids": [None]}, "run_ids[0]"),
    ("GET", f"{RUN}/metrics/a?max_points=0", None, "max_points"),
    ("GET", f"{RUN}/metrics/a?max_points=1e3", None, "max_points"),
    ("GET", f"{RUN}/metrics/a?max_point=3", None, "the query parameter 'max_point'"),
    ("GET", f"{RUN}/metrics/{'k' * 251}", None, "key"),
    ("GET", f"{RUN}/metrics/%00", None, "key"),
    ("GET", f"{RUN}/metrics?key=", None, "key"),
    ("GET", f"{RUN}/metrics?key=a&key=b", None, "key"),
    ("GET", f"{RUN}/artifacts?recursive=1", None, "recursive"),
    ("GET", f"{RUN}/artifacts?path=%00", None, "path"),
    ("GET", "/api/v1/experiments/abc", None, "experiment_id"),
    ("GET", "/api/v1/experiments?limit=-1", None, "limit"),
    ("GET", "/api/v1/experiments?page_token=junk", None, "page_token"),
    ("GET", "/api/v1/experiments?nam=x", None, "the query parameter 'nam'"),
]


async def test_what_is_wrong_is_named(api: TestClient) -> None:
    for method, path, body, field in WRONG:
        sent: dict[str, Any] = {} if body is None else {"json": body}
        if isinstance(body, bytes):
            sent = {"data": body, "headers": {"Content-Type": "application/json"}}
        async with api.request(method, path, **sent) as answer:
            found = await answer.json()
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert (answer.status, found["status"], found["field"]) == (400, 400, field), (path, body)
        assert {"type", "title", "detail", "found", "accepted"} <= set(found)


async def test_bodies_that_are_too_large_or_of_another_type_are_refused(api: TestClient) -> None:
    search = "/api/v1/runs/search"
    async with api.post(
        search, data=io.BytesIO(b" " * (1024 * 1024 + 1)), headers={"Content-Type": "application/json"}
    ) as answer:
        assert (answer.status, (await answer.json())["field"]) == (413, "body")
    async with api.post(search, data={"filter": "x"}) as answer:
        assert (answer.status, (await answer.json())["field"]) == (415, "Content-Type")


async def test_unknown_ids_routes_and_methods_are_problems(api: TestClient) -> None:
    for method, path, status in (
        ("GET", RUN, 404),
        ("GET", "/api/v1/runs/%00", 404),
        ("GET", "/api/v1/runs/%ED%A0%80", 404),
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/", 404),
        ("DELETE", RUN, 405),
        ("GET", "/api/v1/runs/search/x", 404),
    ):
        async with api.request(method, path) as answer:
            assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
            assert answer.headers["Server"].startswith("runstone/")
            assert (await answer.json())["status"] == status
    async with api.delete(RUN) as answer:
        assert answer.headers["Allow"] == "GET,HEAD"


async def test_a_fault_of_the_server_shows_an_id_and_nothing_else(
    api: TestClient, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    await rows.run()
    await rows.connection.execute("ALTER TABLE runs RENAME COLUMN status TO other")
    async with api.post("/api/v1/runs/search", json={}) as answer:
        found = await answer.json()
    assert answer.status == 500
    assert found["incident"] in found["detail"]
    assert "status" not in found["detail"]
    assert found["incident"] in caplog.text


async def test_the_openapi_document_describes_exactly_what_is_served(api: TestClient) -> None:
    async with api.get("/api/v1/openapi.json") as answer:
        document = await answer.json()
    assert document["openapi"].startswith("3.1")
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    served = {
        (route.method, re.sub(r"\{(\w+):[^}]*\}", r"{\1}", _template(route)))
        for route in api.server.app.router.routes()
        if route.method != "HEAD" and not _template(route).startswith(OTHERS)
    }
    assert described == served
    assert len({route.name for route in ROUTES}) == len(ROUTES)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            in_path = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert in_path == set(re.findall(r"\{(\w+)\}", path))
    names = set(document["components"]["schemas"])
    assert set(re.findall(r"#/components/schemas/(\w+)", str(document))) == names


def _template(route: Any) -> str:
    return str(route.resource.get_info().get("formatter") or route.resource.get_info()["path"])
