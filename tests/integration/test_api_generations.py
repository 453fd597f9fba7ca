"""The read API names the generation it reads: the live one, that of a page token, or one that was asked for."""

import base64
from typing import Any

import orjson
from aiohttp.test_utils import TestClient

from runstone_query import snapshot
from runstone_store import generation_changes
from tests.integration.test_api_runs import names, search
from tests.read_model_rows import Rows


async def test_a_page_token_goes_on_in_its_generation_while_there_is_that(
    api: TestClient, rows: Rows
) -> None:
    await rows.run(name="a")
    await rows.run(name="b")
    first = await search(api, limit=1, order_by=["name"])
    token = first["next_page_token"]
    assert token is not None
    name, _ = await generation_changes.begin(rows.connection, None, None, "")
    await rows.connection.execute("UPDATE runstone_meta.live SET generation = $1", name)
    assert await names(api) == []
    following = await search(api, limit=1, order_by=["name"], page_token=token)
    assert [run["name"] for run in following["runs"]] == ["b"]


async def test_a_generation_that_is_named_is_read(api: TestClient, rows: Rows, monkeypatch: Any) -> None:
    monkeypatch.setattr(snapshot, "WAIT_MAX_S", 0.3)
    run_id = await rows.run(name="now")
    name, _ = await generation_changes.begin(rows.connection, None, None, "")
    await rows.connection.execute(
        f"INSERT INTO {name}.runs SELECT * FROM runstone_g1.runs; UPDATE {name}.runs SET name = 'then'"
    )
    for query, found in (("", "now"), (f"?generation={name}", "then"), ("?generation=runstone_g1", "now")):
        async with api.get(f"/api/v1/runs/{run_id}{query}") as answer:
            assert (await answer.json())["name"] == found
    for unknown in ("runstone_g99", "runstone_meta", 'x"; DROP', "%00", ""):
        async with api.get(f"/api/v1/runs/{run_id}?generation={unknown}") as answer:
            assert answer.status in {400, 404}, await answer.text()
    async with api.get(f"/api/v1/runs/{run_id}", params={"generation": name, "min_offset": "0:1"}) as answer:
        assert answer.status == 503


async def test_a_forged_token_reads_no_other_schema(api: TestClient, rows: Rows) -> None:
    await rows.run(name="a")
    await rows.run(name="b")
    token = (await search(api, limit=1))["next_page_token"]
    packed = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    for schema in ("runstone_meta", "pg_catalog", "\0", 'x"'):
        packed[1] = schema
        forged = base64.urlsafe_b64encode(orjson.dumps(packed)).rstrip(b"=").decode()
        async with api.post("/api/v1/runs/search", json={"page_token": forged, "limit": 1}) as answer:
            assert answer.status == 400, await answer.text()
