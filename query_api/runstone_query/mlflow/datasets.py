"""``experiments/search-datasets``: which datasets the runs of experiments read."""

from typing import Any, Final

from aiohttp import web

from runstone_query.mlflow.asked import Asked, asked
from runstone_query.mlflow.endpoints import Endpoint, answer
from runstone_query.mlflow.errors import MlflowError, invalid
from runstone_query.mlflow.searching import experiment_ids
from runstone_query.reading import read_for_gateway
from runstone_query.statements import pieces

_BLOCKS: Final = pieces(__file__, "datasets.sql")

EXPERIMENTS_MOST: Final = 20
SUMMARIES_MOST: Final = 1000


async def search_datasets(request: web.Request) -> web.Response:
    """Each dataset of some experiments once for each context that it was read in."""
    ids = _experiment_ids(await asked(request))
    if not ids:
        raise invalid("SearchDatasets request must specify at least one experiment_id.")
    if len(ids) > EXPERIMENTS_MOST:
        raise invalid(
            f"SearchDatasets request cannot specify more than {EXPERIMENTS_MOST} experiment_ids. "
            f"Received {len(ids)} experiment_ids."
        )
    rows = await read_for_gateway(
        request, lambda snapshot: snapshot.rows(_BLOCKS["summaries"], ids, SUMMARIES_MOST)
    )
    found = [_summary(row) for row in rows]
    return answer({"dataset_summaries": found} if found else {})


def _experiment_ids(fields: Asked) -> list[int]:
    try:
        fields.members("experiment_ids")
    except MlflowError:  # to MLflow's server what is no list is none at all
        return []
    return experiment_ids(fields)


def _summary(row: Any) -> dict[str, str]:
    found = {"experiment_id": str(row["experiment_id"]), "name": row["name"], "digest": row["digest"]}
    return found | ({} if row["context"] is None else {"context": row["context"]})


ENDPOINTS: Final = (Endpoint("POST", "experiments/search-datasets", search_datasets, ajax_only=True),)
