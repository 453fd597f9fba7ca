"""Metric histories through the read API, over chunks in a real Postgres."""

import math
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient
from yarl import URL

from tests.read_model_rows import Rows


async def get(api: TestClient, path: str) -> dict[str, Any]:
    async with api.get(URL(path, encoded=True)) as answer:
        found = await answer.json()
        assert answer.status == 200, found
        return found


async def test_a_history_has_every_point_in_native_order(api: TestClient, rows: Rows) -> None:
    run_id = await rows.run()
    await rows.points(run_id, "loss", [(2, 9, 0.2), (1, 5, 0.15), (1, 5, 0.1)])
    await rows.points(run_id, "loss", [(1, 4, -0.0), (2**63 - 1, 0, 1e308)], model="m")
    await rows.points(run_id, "loss", [(1, 5, 0.1), (-(2**63), 1, 5e-324)])
    found = await get(api, f"/api/v1/runs/{run_id}/metrics/loss")
    assert found == {
        "run_id": run_id,
        "key": "loss",
        "points": 7,
        "steps": [-(2**63), 1, 1, 1, 1, 2, 2**63 - 1],
        "times": [1, 4, 5, 5, 5, 9, 0],
        "values": [5e-324, -0.0, 0.15, 0.1, 0.1, 0.2, 1e308],
    }
    assert math.copysign(1, found["values"][1]) == -1


async def test_values_that_are_not_finite_are_texts(api: TestClient, rows: Rows) -> None:
    run_id = await rows.run()
    await rows.points(run_id, "x", [(0, 1, math.nan), (1, 1, math.inf), (2, 1, -math.inf), (3, 1, 1.0)])
    found = await get(api, f"/api/v1/runs/{run_id}/metrics/x")
    assert found["values"] == ["NaN", "Infinity", "-Infinity", 1.0]


@pytest.mark.parametrize(
    "key", ["val/loss", "a b", "100%", "%2F", "é/ü?#&+", "a//b", "metrics", "x/metrics/y"]
)
async def test_a_key_is_found_however_it_is_written(api: TestClient, rows: Rows, key: str) -> None:
    run_id = await rows.run()
    await rows.points(run_id, key, [(0, 1, 7.0)])
    for path in (f"/{quote(key, safe='')}", f"/{quote(key, safe='/')}", f"?key={quote(key, safe='')}"):
        found = await get(api, f"/api/v1/runs/{run_id}/metrics{path}")
        assert (found["key"], found["values"]) == (key, [7.0]), path


async def test_a_thinned_history_keeps_the_ends_and_the_extremes(api: TestClient, rows: Rows) -> None:
    run_id = await rows.run()
    values = [math.sin(i / 50) for i in range(5000)]
    values[1234], values[4321], values[2222] = 99.0, -99.0, math.nan
    for first in range(0, 5000, 500):
        await rows.points(run_id, "x", [(i, i, values[i]) for i in range(first, first + 500)])
    found = await get(api, f"/api/v1/runs/{run_id}/metrics/x?max_points=100")
    assert found["points"] == 5000
    assert 60 <= len(found["values"]) <= 100
    assert {0, 4999, 1234, 4321, 2222} <= set(found["steps"])
    assert found["steps"] == sorted(found["steps"]) == found["times"]
    whole = await get(api, f"/api/v1/runs/{run_id}/metrics?key=x&max_points=5000")
    assert whole["steps"] == list(range(5000))


async def test_a_metric_without_points_is_empty_and_a_run_that_is_none_is_not_found(
    api: TestClient, rows: Rows
) -> None:
    run_id = await rows.run()
    found = await get(api, f"/api/v1/runs/{run_id}/metrics/none")
    assert (found["points"], found["steps"], found["times"], found["values"]) == (0, [], [], [])
    for path in ("", "/x", "?key=x"):
        async with api.get(f"/api/v1/runs/nobody/metrics{path}") as answer:
            assert answer.status == 404
            assert "nobody" in (await answer.json())["detail"]


async def test_a_runs_metrics_are_listed_with_their_latest_point(api: TestClient, rows: Rows) -> None:
    run_id = await rows.run()
    await rows.latest(run_id, "b", 2.0, step=3, time=4)
    await rows.latest(run_id, "a", math.nan, step=7, time=1)
    await rows.latest(run_id, "a", 1.0, step=7, time=1, model="m")
    assert await get(api, f"/api/v1/runs/{run_id}/metrics") == {
        "run_id": run_id,
        "metrics": [
            {"key": "a", "step": 7, "time": 1, "value": 1.0, "points": 2},
            {"key": "b", "step": 3, "time": 4, "value": 2.0, "points": 1},
        ],
    }
