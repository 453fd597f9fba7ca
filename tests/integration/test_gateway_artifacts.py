"""The gateway takes files in: whole, checked and within the store, or not at all."""

import gzip
import hashlib
import io
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from runstone_gateway.app import application
from runstone_gateway.configuration import Configuration
from runstone_gateway.listening import Runner

RUN = "0190f5d8e4b07c3a9b1d2e3f4a5b6c7d"
NOWHERE = "127.0.0.1:9"


@pytest.fixture
async def gateway(tmp_path):
    configuration = Configuration(NOWHERE, NOWHERE, f"http://{NOWHERE}", "", tmp_path / "store")
    async with TestClient(TestServer(application(configuration))) as client:
        yield client


def files_in(store: Path) -> dict[str, bytes]:
    return {str(p.relative_to(store)): p.read_bytes() for p in store.rglob("*") if p.is_file()}


async def put(gateway, body, headers=None, **query):
    query = {"experiment_id": "7", "run_id": RUN, "path": "model/model.pkl"} | query
    return await gateway.put("/api/v1/artifacts", params=query, data=body, headers=headers or {})


async def test_a_file_is_stored_under_its_run_and_its_uri_size_and_hash_are_answered(gateway, tmp_path):
    body = bytes(range(256)) * 10_000
    answer = await put(gateway, io.BytesIO(body), {"X-Content-SHA256": hashlib.sha256(body).hexdigest()})
    assert answer.status == 201
    place = tmp_path / "store" / "7" / RUN / "artifacts" / "model" / "model.pkl"
    assert await answer.json() == {
        "uri": place.as_uri(), "size": len(body), "sha256": hashlib.sha256(body).hexdigest(),
    }  # fmt: skip
    assert files_in(tmp_path / "store") == {f"7/{RUN}/artifacts/model/model.pkl": body}
    assert answer.headers["Server"].startswith("runstone/")


async def test_the_same_path_again_replaces_the_file(gateway, tmp_path):
    for body in (b"old", b"new"):
        assert (await put(gateway, body)).status == 201
    assert files_in(tmp_path / "store") == {f"7/{RUN}/artifacts/model/model.pkl": b"new"}


async def asked(gateway, body, **query):
    query = {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()} | query
    query = {"experiment_id": "7", "run_id": RUN, "path": "model/model.pkl"} | query
    return await gateway.get("/api/v1/artifacts", params=query)


async def test_a_sender_learns_whether_just_that_content_is_there(gateway):
    assert (await asked(gateway, b"here")).status == 204
    stored = await (await put(gateway, b"here")).json()
    answer = await asked(gateway, b"here")
    assert (answer.status, await answer.json()) == (200, stored)
    assert (await asked(gateway, b"more")).status == 204
    assert (await asked(gateway, b"longer")).status == 204


@pytest.mark.parametrize(
    ("query", "status", "named"),
    [
        ({"path": "model"}, 409, "is a file and a folder"),
        ({"path": "model/model.pkl/below"}, 409, "is a file and a folder"),
        ({"path": "../up"}, 400, "stays within the run"),
        ({"size": "-1"}, 400, "a number of bytes"),
        ({"sha256": "ab"}, 400, "64 hexadecimal digits"),
        ({"other": "1"}, 400, "only experiment_id"),
    ],
)
async def test_a_question_for_content_is_refused_as_the_content_would_be(gateway, query, status, named):
    await put(gateway, b"here")
    answer = await asked(gateway, b"here", **query)
    assert answer.status == status
    assert named in (await answer.json())["detail"]


async def test_content_that_differs_from_its_hash_is_refused_and_nothing_stays(gateway, tmp_path):
    answer = await put(gateway, b"damaged", {"X-Content-SHA256": "0" * 64})
    assert answer.status == 422
    assert (await answer.json())["title"] == "The content differs"
    assert files_in(tmp_path / "store") == {}


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"path": "../../x"}, "'..'"),
        ({"path": "/etc/passwd"}, "absolute"),
        ({"path": ""}, "empty"),
        ({"run_id": "../x"}, "run_id"),
        ({"run_id": RUN.upper()}, "run_id"),
        ({"experiment_id": "-1"}, "experiment_id"),
        ({"experiment_id": "9" * 5000}, "experiment_id"),
        ({"experiment_id": "٣"}, "experiment_id"),
        ({"path": "a" * 256}, "255 in each name"),
        ({"overwrite": "1"}, "experiment_id, run_id, path"),
        ({"path": ["a", "b"]}, "once"),
    ],
)
async def test_an_address_outside_of_a_run_is_refused(gateway, tmp_path, query, named):
    answer = await put(gateway, b"x", **query)
    assert answer.status == 400
    assert answer.content_type == "application/problem+json"
    found = await answer.json()
    assert named in found["detail"]
    assert found["field"]
    assert found["found"]
    assert found["accepted"]
    assert files_in(tmp_path) == {}


@pytest.mark.parametrize("said", ["x", "0" * 63, "é" * 64])
async def test_a_hash_that_is_none_is_refused_before_the_body_is_read(gateway, tmp_path, said):
    answer = await put(gateway, b"x", {"X-Content-SHA256": said})
    assert answer.status == 400
    assert (await answer.json())["field"] == "X-Content-SHA256"
    assert files_in(tmp_path) == {}


async def test_a_body_is_stored_as_it_comes_also_where_it_says_to_be_compressed(tmp_path):
    runner = Runner(application(Configuration(NOWHERE, NOWHERE, f"http://{NOWHERE}", "", tmp_path)))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/v1/artifacts"
        query = {"experiment_id": "7", "run_id": RUN, "path": "a"}
        async with aiohttp.ClientSession() as client:
            for body in (gzip.compress(b"text"), b"not gzip at all"):
                headers = {"Content-Encoding": "gzip", "X-Content-SHA256": hashlib.sha256(body).hexdigest()}
                answer = await client.put(url, params=query, data=io.BytesIO(body), headers=headers)
                assert answer.status == 201
                assert (tmp_path / "7" / RUN / "artifacts" / "a").read_bytes() == body
    finally:
        await runner.cleanup()


async def test_a_path_below_a_file_is_a_conflict_that_names_the_remedy(gateway):
    assert (await put(gateway, b"x", path="a")).status == 201
    answer = await put(gateway, b"x", path="a/b")
    assert answer.status == 409
    assert "another artifact path" in (await answer.json())["detail"]


async def test_without_its_read_api_the_gateway_lives_but_is_not_ready_and_says_why(gateway):
    assert (await gateway.get("/health")).status == 200
    for path in ("/ready", "/api/v1/connect", "/api/v1/runs/1"):
        answer = await gateway.get(path)
        assert answer.status == 503
        assert answer.headers["Retry-After"]
        assert "read API" in (await answer.json())["detail"]


async def test_a_browser_at_the_printed_address_finds_the_way_on(gateway):
    answer = await gateway.get("/")
    assert (answer.status, answer.content_type) == (200, "text/html")
    page = await answer.text()
    for way in ("/api/v1/experiments", "/api/v1/openapi.json", "runstone runs list"):
        assert way in page
