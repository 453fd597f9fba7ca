"""``/api/v1/runs``: search, one run, several side by side."""

from typing import Final

from aiohttp import web

from runstone_query import inputs, run_documents, run_search, schemas
from runstone_query.comparison import compare
from runstone_query.configuration import COMPARE_MAX
from runstone_query.problems import Problem, not_found
from runstone_query.reading import read
from runstone_query.routing import Route, in_path
from runstone_query.services import CONFIGURATION, json
from runstone_query.snapshot import Snapshot

RUN_ID: Final = in_path("run_id", "the run's id", schemas.TEXT)


async def search_runs(request: web.Request) -> web.Response:
    """A page of the runs that match."""
    inputs.query(request, ())
    search = run_search.checked(await inputs.body(request, run_search.FIELDS))
    root = request.app[CONFIGURATION].artifact_root
    return json(await read(request, lambda snapshot: run_search.page(snapshot, search, root)))


async def get_run(request: web.Request) -> web.Response:
    """One run."""
    inputs.query(request, ())
    run_id = inputs.run_id(request)
    root = request.app[CONFIGURATION].artifact_root
    found = await read(request, lambda snapshot: run_documents.load(snapshot, [run_id], root))
    if not found:
        raise not_found("run", run_id)
    return json(found[0])


async def compare_runs(request: web.Request) -> web.Response:
    """Several runs side by side, in the order asked for."""
    inputs.query(request, ())
    body = await inputs.body(request, ("run_ids",))
    run_ids = list(dict.fromkeys(inputs.texts("run_ids", body.get("run_ids"), 1, COMPARE_MAX)))
    root = request.app[CONFIGURATION].artifact_root

    async def documents(snapshot: Snapshot) -> list[run_documents.Document]:
        return await run_documents.load(snapshot, run_ids, root)

    found = await read(request, documents)
    if len(found) < len(run_ids):
        known = {document["run_id"] for document in found}
        unknown = [run_id for run_id in run_ids if run_id not in known]
        raise Problem(
            404,
            "not-found",
            f"run_ids: there is no run {', '.join(map(repr, unknown))}; it may not have arrived yet",
            field="run_ids",
            found=", ".join(unknown),
            accepted="ids of known runs",
        )
    return json(compare(found))


ROUTES: Final = (
    Route(
        "POST",
        "/api/v1/runs/search",
        search_runs,
        "searchRuns",
        "Runs that match a filter, a page at a time, newest first unless ordered otherwise",
        schemas.record(
            runs=schemas.array(schemas.ref("Run")), next_page_token=schemas.nullable(schemas.TEXT)
        ),
        body=schemas.ref("SearchRequest"),
        problems=(400, 413, 415),
    ),
    Route(
        "POST",
        "/api/v1/runs/compare",
        compare_runs,
        "compareRuns",
        "Runs side by side: params that differ and that agree, and metrics",
        schemas.ref("Comparison"),
        body=schemas.ref("CompareRequest"),
        problems=(400, 404, 413, 415),
    ),
    Route(
        "GET",
        "/api/v1/runs/{run_id}",
        get_run,
        "getRun",
        "One run",
        schemas.ref("Run"),
        parameters=(RUN_ID,),
        problems=(400, 404),
    ),
)
