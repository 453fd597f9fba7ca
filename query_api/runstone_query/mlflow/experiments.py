"""``experiments/get``, ``experiments/get-by-name`` and ``experiments/search``."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web

from runstone_query.mlflow import pages
from runstone_query.mlflow.asked import asked
from runstone_query.mlflow.endpoints import Endpoint, answer
from runstone_query.mlflow.errors import missing, no_experiment
from runstone_query.mlflow.experiment_language import EXPERIMENTS, LANGUAGE, ORDER_DEFAULT
from runstone_query.mlflow.pages import Sought
from runstone_query.mlflow.searching import experiment_id, parsed_filter, parsed_order, stage
from runstone_query.reading import lookup_for_gateway, read_for_gateway
from runstone_query.snapshot import Snapshot
from runstone_query.statements import fill, pieces

MAX_RESULTS_MOST: Final = 50_000

_PIECES: Final = pieces(__file__, "experiments.sql")
_BLOCKS: Final = {name: fill(block, tags=_PIECES["tags"]) for name, block in _PIECES.items()}

Document = dict[str, Any]


def _document(row: Mapping[str, Any]) -> Document:
    found = {
        "experiment_id": str(row["experiment_id"]),
        "name": row["name"],
        "artifact_location": row["artifact_location"] or f"mlflow-artifacts:/{row['experiment_id']}",
        "lifecycle_stage": row["lifecycle_stage"],
        "workspace": "default",
    }
    found |= {name: row[name] for name in ("last_update_time", "creation_time") if row[name]}
    return found | ({} if row["tags"] is None else {"tags": orjson.loads(row["tags"])})


async def get_experiment(request: web.Request) -> web.Response:
    """One experiment."""
    wanted = experiment_id((await asked(request)).required_text("experiment_id"))
    rows = await lookup_for_gateway(request, _BLOCKS["experiments"], [wanted])
    if not rows:
        raise no_experiment(wanted)
    return answer({"experiment": _document(rows[0])})


async def get_by_name(request: web.Request) -> web.Response:
    """The experiment of a name, deleted or not."""
    name = (await asked(request)).required_text("experiment_name")
    rows = await lookup_for_gateway(request, _BLOCKS["named"], name)
    if not rows:
        raise missing(f"Could not find experiment with name '{name}'")
    return answer({"experiment": _document(rows[0])})


async def search_experiments(request: web.Request) -> web.Response:
    """A page of the experiments that match a filter."""
    fields = await asked(request)
    text, order_by = fields.text("filter"), fields.texts("order_by")
    shown = stage(fields, "view_type")
    sought = Sought(
        EXPERIMENTS,
        parsed_filter(text, LANGUAGE),
        parsed_order(order_by, LANGUAGE, once=False) or ORDER_DEFAULT,
        [] if shown is None else [("in_lifecycle_stage", shown)],
        ["experiments", text, order_by, shown],
        fields.max_results(0, MAX_RESULTS_MOST),
        fields.text("page_token"),
    )

    async def found(snapshot: Snapshot) -> tuple[list[Document], dict[str, str]]:
        ids, following = await pages.page(snapshot, sought)
        rows = await snapshot.rows(_BLOCKS["experiments"], [row[0] for row in ids])
        of_id = {row["experiment_id"]: _document(row) for row in rows}
        return [of_id[row[0]] for row in ids], following

    documents, following = await read_for_gateway(request, found)
    return answer(({"experiments": documents} if documents else {}) | following)


ENDPOINTS: Final = (
    Endpoint("GET", "experiments/get", get_experiment),
    Endpoint("GET", "experiments/get-by-name", get_by_name),
    Endpoint("GET", "experiments/search", search_experiments),
    Endpoint("POST", "experiments/search", search_experiments),
)
