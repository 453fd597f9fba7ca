"""``runs/get`` and ``runs/search``."""

import asyncio
from typing import Any, Final

from aiohttp import web

from runstone_query.mlflow import large_fields, pages, run_documents
from runstone_query.mlflow.asked import Asked, asked, wrong_value
from runstone_query.mlflow.endpoints import Endpoint, answer
from runstone_query.mlflow.errors import no_run
from runstone_query.mlflow.pages import Sought
from runstone_query.mlflow.run_language import LANGUAGE, RUNS
from runstone_query.mlflow.searching import experiment_ids, parsed_filter, parsed_order, stage
from runstone_query.reading import lookup_for_gateway, read_for_gateway
from runstone_query.search.runs import Scope
from runstone_query.services import CONFIGURATION
from runstone_query.snapshot import Snapshot

MAX_RESULTS_DEFAULT: Final = 1000
MAX_RESULTS_MOST: Final = 50_000


async def get_run(request: web.Request) -> web.Response:
    """One run."""
    run_id = (await asked(request)).run_id()
    rows = await lookup_for_gateway(request, run_documents.STATEMENT, [run_id])
    found = run_documents.page(rows, [run_id], model_inputs=True)
    if not found.documents:
        raise no_run(run_id)
    await large_fields.fill_in(request.app[CONFIGURATION].artifact_root, found.large)
    return answer({"run": found.documents[0]})


def _limit(fields: Asked) -> int:
    if (found := fields.integer("max_results", MAX_RESULTS_DEFAULT)) > MAX_RESULTS_MOST:
        raise wrong_value("max_results", found)
    return fields.max_results(MAX_RESULTS_DEFAULT, MAX_RESULTS_MOST)


async def search_runs(request: web.Request) -> web.Response:
    """A page of the runs of some experiments that match a filter."""
    fields = await asked(request)
    text, order_by = fields.text("filter"), fields.texts("order_by")
    ids = experiment_ids(fields)
    shown = stage(fields, "run_view_type")
    sought = Sought(
        RUNS,
        parsed_filter(text, LANGUAGE),
        parsed_order(order_by, LANGUAGE),
        Scope(ids, shown).conditions,
        ["runs", ids, text, order_by, shown],
        _limit(fields),
        fields.text("page_token"),
    )

    async def found(snapshot: Snapshot) -> tuple[list[str], list[Any], dict[str, str]]:
        ids, following = await pages.page(snapshot, sought)
        run_ids = [run_id for (run_id,) in ids]
        return run_ids, await snapshot.rows(run_documents.STATEMENT, run_ids), following

    run_ids, rows, following = await read_for_gateway(request, found)
    # in threads: a page of 50,000 runs takes seconds to put together
    loaded = await asyncio.to_thread(run_documents.page, rows, run_ids, model_inputs=False)
    await large_fields.fill_in(request.app[CONFIGURATION].artifact_root, loaded.large)
    runs = {"runs": loaded.documents} if loaded.documents else {}
    return await asyncio.to_thread(answer, runs | following)


ENDPOINTS: Final = (
    Endpoint("GET", "runs/get", get_run),
    Endpoint("POST", "runs/search", search_runs),
)
