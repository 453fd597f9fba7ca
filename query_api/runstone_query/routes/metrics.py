"""``/api/v1/runs/{run_id}/metrics``: a run's metrics, and the history of one."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from runstone_query import histories, inputs, run_documents, schemas
from runstone_query.configuration import POINTS_MAX
from runstone_query.reading import read
from runstone_query.routes.runs import RUN_ID
from runstone_query.routing import Route, in_path, in_query
from runstone_query.services import json
from runstone_query.snapshot import Snapshot


async def list_metrics(request: web.Request) -> web.Response:
    """The latest point of each metric; with ``key`` the history of that one."""
    asked = inputs.query(request, ("key", "max_points"))
    if "key" in asked:
        return await _history(request, asked["key"], asked)
    inputs.query(request, ())
    run_id = inputs.run_id(request)

    async def latest(snapshot: Snapshot) -> list[dict[str, Any]]:
        await run_documents.require(snapshot, run_id)
        return await histories.latest(snapshot, run_id)

    return json({"run_id": run_id, "metrics": await read(request, latest)})


async def get_history(request: web.Request) -> web.Response:
    """The history of the metric that the path names."""
    return await _history(request, request.match_info["key"], inputs.query(request, ("max_points",)))


async def _history(request: web.Request, key: str, asked: Mapping[str, str]) -> web.Response:
    run_id = inputs.run_id(request)
    key = inputs.metric_key("key", key)
    max_points = None
    if "max_points" in asked:
        max_points = inputs.digits("max_points", asked["max_points"], 1, POINTS_MAX)

    async def chunks(snapshot: Snapshot) -> Any:
        await run_documents.require(snapshot, run_id)
        return await histories.read_chunks(snapshot, run_id, key)

    found = await read(request, chunks)
    return await asyncio.to_thread(_answer, run_id, key, found, max_points)


def _answer(run_id: str, key: str, chunks: Any, max_points: int | None) -> web.Response:
    history = histories.assemble(chunks, max_points)
    return json(
        {
            "run_id": run_id,
            "key": key,
            "points": history.points,
            "steps": history.steps,
            "times": history.times,
            "values": histories.values_to_json(history.values),
        }
    )


_MAX_POINTS: Final = in_query(
    "max_points",
    "thin the series out to at most so many points, keeping first, last, lowest and highest of each bucket; "
    "without it every point; only for a history",
    schemas.MAX_POINTS,
)

ROUTES: Final = (
    Route(
        "GET",
        "/api/v1/runs/{run_id}/metrics",
        list_metrics,
        "listMetrics",
        "The latest point of each metric of a run; with key, the history of that metric",
        {"anyOf": [schemas.ref("Metrics"), schemas.ref("History")]},
        parameters=(RUN_ID, in_query("key", "the metric whose history is wanted", schemas.KEY), _MAX_POINTS),
        problems=(400, 404),
    ),
    Route(
        "GET",
        "/api/v1/runs/{run_id}/metrics/{key:.+}",
        get_history,
        "getHistory",
        "The points of a metric, ordered by step, time and arrival; slashes in the key may stand as they are",
        schemas.ref("History"),
        parameters=(RUN_ID, in_path("key", "the metric's key", schemas.KEY), _MAX_POINTS),
        problems=(400, 404),
    ),
)
