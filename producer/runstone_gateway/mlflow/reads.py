"""Which offsets an answer must have seen, per route that the read API answers.

The read of one run waits for that run's partition and, as its experiment is shown with it, for the catalog;
other reads wait for everything that this gateway wrote.
"""

from typing import Final

from aiohttp import web

from runstone.events import CATALOG
from runstone_gateway.ledger import Needs
from runstone_gateway.mlflow.routing import Read
from runstone_gateway.mlflow.services import Services


async def of_everything(services: Services, _request: web.Request) -> Needs:
    """Whatever this gateway wrote."""
    return await services.ledger.at_least_for_all()


async def of_catalog(services: Services, _request: web.Request) -> Needs:
    """Names: experiments, registered models, versions, aliases."""
    return await services.ledger.at_least_for(CATALOG)


async def of_runs(services: Services, request: web.Request) -> Needs:
    """The runs that the query names."""
    names = ("run_id", "run_uuid", "run_ids")
    streams = dict.fromkeys(v for name in names for v in request.query.getall(name, ()))
    if not streams or len(streams) > 100:
        return await services.ledger.at_least_for_all()
    return await services.ledger.at_least_for(CATALOG, *streams)


ROUTES: Final = (
    Read("GET", "/experiments/get", of_catalog),
    Read("GET", "/experiments/get-by-name", of_catalog),
    Read("GET", "/experiments/search", of_everything),
    Read("POST", "/experiments/search", of_everything),
    Read("POST", "/experiments/search-datasets", of_everything),
    Read("GET", "/runs/get", of_runs),
    Read("POST", "/runs/search", of_everything),
    Read("GET", "/metrics/get-history", of_runs),
    Read("GET", "/metrics/get-history-bulk", of_runs),
    Read("GET", "/metrics/get-history-bulk-interval", of_runs),
    Read("GET", "/logged-models/{model_id}", of_everything),
    Read("POST", "/logged-models/search", of_everything),
    Read("GET", "/registered-models/get", of_catalog),
    Read("GET", "/registered-models/search", of_catalog),
    Read("GET", "/registered-models/get-latest-versions", of_catalog),
    Read("POST", "/registered-models/get-latest-versions", of_catalog),
    Read("GET", "/registered-models/alias", of_catalog),
    Read("GET", "/model-versions/get", of_catalog),
    Read("GET", "/model-versions/search", of_catalog),
    Read("GET", "/model-versions/get-download-uri", of_catalog),
)
