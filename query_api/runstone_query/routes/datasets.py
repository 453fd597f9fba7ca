"""``/api/v1/runs/{run_id}/datasets``: what a run read, with schema and profile."""

from typing import Final

from aiohttp import web

from runstone_query import datasets, inputs, run_documents, schemas
from runstone_query.datasets import Datasets
from runstone_query.mlflow.large_fields import fill_in
from runstone_query.reading import read
from runstone_query.routes.runs import RUN_ID
from runstone_query.routing import Route
from runstone_query.services import CONFIGURATION, json
from runstone_query.snapshot import Snapshot


async def list_datasets(request: web.Request) -> web.Response:
    """The datasets of a run; texts that lie in the artifact store are read from there."""
    inputs.query(request, ())
    run_id = inputs.run_id(request)

    async def listing(snapshot: Snapshot) -> Datasets:
        await run_documents.require(snapshot, run_id)
        return await datasets.of_run(snapshot, run_id)

    found = await read(request, listing)
    await fill_in(request.app[CONFIGURATION].artifact_root, found.large)
    return json({"run_id": run_id, "datasets": found.documents})


ROUTES: Final = (
    Route(
        "GET",
        "/api/v1/runs/{run_id}/datasets",
        list_datasets,
        "listDatasets",
        "The datasets that a run read, in the order in which they were logged",
        schemas.record(run_id=schemas.TEXT, datasets=schemas.array(schemas.ref("Dataset"))),
        parameters=(RUN_ID,),
        problems=(400, 404),
    ),
)
