"""``metrics/get-history``, ``metrics/get-history-bulk`` and ``metrics/get-history-bulk-interval``.

Histories are assembled in threads, so that a million points do not hold up other requests.
"""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from aiohttp import web

from runstone_query.mlflow import histories
from runstone_query.mlflow.asked import DOCS, asked
from runstone_query.mlflow.endpoints import Endpoint, answer
from runstone_query.mlflow.errors import invalid
from runstone_query.mlflow.histories import History, Point
from runstone_query.mlflow.paging import offset_of, token_of
from runstone_query.mlflow.recent_histories import Source
from runstone_query.reading import read_for_gateway
from runstone_query.services import RECENT_HISTORIES
from runstone_query.snapshot import Snapshot
from runstone_query.statements import pieces

_BLOCKS: Final = pieces(__file__, "metrics.sql")

BULK_MOST: Final = 25_000
"""Points in one answer to get-history-bulk."""

RUNS_MOST: Final = 100
"""Runs in one bulk request."""

SAMPLED_MOST: Final = 2500
"""Points of each run in one answer to get-history-bulk-interval."""

_STEP_MIN: Final = -(2**63)

Chunks = Sequence[Mapping[str, Any]]


async def _chunks(request: web.Request, run_ids: Sequence[str], key: str) -> Chunks:
    return await read_for_gateway(request, lambda snapshot: snapshot.rows(_BLOCKS["chunks"], run_ids, key))


async def get_history(request: web.Request) -> web.Response:
    """The points of one metric of a run, all or a page of them; none of a run that there is not."""
    fields = await asked(request)
    run_id, key = fields.run_id(), fields.required_text("metric_key")
    limit = None
    if fields.has("max_results"):
        limit = fields.integer("max_results", 0)
        if limit <= 0:
            raise invalid(
                f"Invalid value {limit} for parameter 'max_results' supplied. It must be a positive integer."
            )
    offset = offset_of(fields.text("page_token"))
    if limit is None:
        chunks = await _chunks(request, [run_id], key)
        return await asyncio.to_thread(_rest, chunks, key, offset)
    history = await _history(request, run_id, key)
    return await asyncio.to_thread(_page, history, key, offset, limit)


async def _history(request: web.Request, run_id: str, key: str) -> History:
    """A history that is read page by page."""
    recent = request.app[RECENT_HISTORIES]

    async def question(snapshot: Snapshot) -> tuple[Source, History | Chunks]:
        (extent,) = await snapshot.rows(_BLOCKS["extent"], run_id, key)
        source = Source(snapshot.generation, run_id, key, extent["points"], extent["last_offset"])
        return source, recent.get(source) or await snapshot.rows(_BLOCKS["chunks"], [run_id], key)

    source, found = await read_for_gateway(request, question)
    if isinstance(found, History):
        return found
    history = await asyncio.to_thread(histories.assemble, found)
    recent.keep(source, history)
    return history


def _rest(chunks: Chunks, key: str, offset: int) -> web.Response:
    return _page(histories.assemble(chunks), key, offset, None)


def _page(history: History, key: str, offset: int, limit: int | None) -> web.Response:
    end = len(history) if limit is None else offset + limit
    shown = history.at(slice(offset, end)).points(key)
    found: dict[str, object] = {"metrics": shown} if shown else {}
    if end < len(history):
        found["next_page_token"] = token_of(end)
    return answer(found)


async def get_history_bulk(request: web.Request) -> web.Response:
    """The points of one metric of several runs, by run."""
    fields = await asked(request)
    run_ids = fields.texts("run_id")
    if not run_ids:
        raise invalid("GetMetricHistoryBulk request must specify at least one run_id.")
    if len(run_ids) > RUNS_MOST:
        raise invalid(
            f"GetMetricHistoryBulk request cannot specify more than {RUNS_MOST} run_ids. "
            f"Received {len(run_ids)} run_ids."
        )
    if not fields.has("metric_key"):
        raise invalid("GetMetricHistoryBulk request must specify a metric_key.")
    key = fields.text("metric_key")
    limit = fields.integer("max_results", BULK_MOST)
    if limit < 0:
        raise invalid(f"Invalid value {limit} for parameter 'max_results' supplied.")
    chunks = await _chunks(request, run_ids, key)
    return await asyncio.to_thread(_bulk, chunks, key, min(limit, BULK_MOST))


def _bulk(chunks: Chunks, key: str, limit: int) -> web.Response:
    found: list[Point] = []
    for run_id, of_run in groupby(chunks, itemgetter("run_id")):
        history = histories.assemble(list(of_run)).at(slice(0, limit - len(found)))
        found += history.points(key, run_id=run_id)
    return answer({"metrics": found})


async def get_history_bulk_interval(request: web.Request) -> web.Response:
    """At most so many points of one metric of each of several runs, evenly chosen, in a range of steps."""
    fields = await asked(request)
    run_ids = fields.texts("run_ids")
    if not run_ids:
        raise invalid(f"Missing value for required parameter 'run_ids'.{DOCS}")
    if len(run_ids) > RUNS_MOST:
        raise invalid(
            f"GetMetricHistoryBulkInterval request must specify at most {RUNS_MOST} run_ids. "
            f"Received {len(run_ids)} run_ids.{DOCS}"
        )
    key = fields.required_text("metric_key")
    limit = fields.integer("max_results", SAMPLED_MOST)
    if not 1 <= limit <= SAMPLED_MOST:
        raise invalid(f"max_results must be between 1 and {SAMPLED_MOST}.{DOCS}")
    if fields.has("start_step") != fields.has("end_step"):
        raise invalid("If either start step or end step are specified, both must be specified.")
    start, end = fields.integer("start_step", _STEP_MIN), fields.integer("end_step", -_STEP_MIN - 1)
    if start > end:
        raise invalid(
            f"end_step must be greater than start_step. Found start_step={start} and end_step={end}."
        )
    chunks = await _chunks(request, run_ids, key)
    return await asyncio.to_thread(_sampled, chunks, run_ids, key, (start, end), limit)


def _sampled(
    chunks: Chunks, run_ids: Sequence[str], key: str, steps: tuple[int, int], limit: int
) -> web.Response:
    of_runs = {run_id: list(of_run) for run_id, of_run in groupby(chunks, itemgetter("run_id"))}
    found: list[Point] = []
    for run_id in run_ids:
        history = histories.by_step(histories.assemble(of_runs.get(run_id, [])))
        history = history.at((history.steps >= steps[0]) & (history.steps <= steps[1]))
        found += histories.sampled(history, limit).points(key, run_id=run_id)
    return answer({"metrics": found} if found else {})


ENDPOINTS: Final = (
    Endpoint("GET", "metrics/get-history", get_history),
    Endpoint("GET", "metrics/get-history-bulk", get_history_bulk, ajax_only=True),
    Endpoint("GET", "metrics/get-history-bulk-interval", get_history_bulk_interval),
)
