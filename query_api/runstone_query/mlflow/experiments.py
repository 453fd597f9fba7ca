"""``experiments/get``, ``experiments/get-by-name`` and ``experiments/search``."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from runstone_query.mlflow import pages
from runstone_query.mlflow.asked import asked
from runstone_query.mlflow.endpoints import Endpoint, answer
from runstone_query.mlflow.errors import missing, no_experiment
from runstone_query.mlflow.experiment_language import EXPERIMENTS, LANGUAGE, ORDER_DEFAULT
from runstone_query.mlflow.pages import Sought
from runstone_query.mlflow.searching import experiment_id, parsed_filter, parsed_order, stage
from runstone_query.reading import read_for_gateway
from runstone_query.snapshot import Snapshot
from runstone_query.statements import pieces

MAX_RESULTS_MOST: Final = 50_000

_BLOCKS: Final = pieces(__file__, "experiments.sql")

Document = dict[str, Any]


async def load(snapshot: Snapshot, ids: Sequence[int]) -> list[Document]:
    """The documents of those of *ids* that exist, in their order."""
    found = {row["experiment_id"]: row for row in await snapshot.rows(_BLOCKS["experiments"], ids)}
    tags = defaultdict(list)
    for row in await snapshot.rows(_BLOCKS["tags"], ids):
        tags[row["experiment_id"]].append({"key": row["key"], "value": row["value"]})
    return [_document(found[n], tags[n]) for n in ids if n in found]


def _document(row: Mapping[str, Any], tags: list[Document]) -> Document:
    found = {
        "experiment_id": str(row["experiment_id"]),
        "name": row["name"],
        "artifact_location": row["artifact_location"] or f"mlflow-artifacts:/{row['experiment_id']}",
        "lifecycle_stage": row["lifecycle_stage"],
        "workspace": "default",
    }
    found |= {name: row[name] for name in ("last_update_time", "creation_time") if row[name]}
    return found | ({"tags": tags} if tags else {})


async def get_experiment(request: web.Request) -> web.Response:
    """One experiment."""
    wanted = experiment_id((await asked(request)).required_text("experiment_id"))
    found = await read_for_gateway(request, lambda snapshot: load(snapshot, [wanted]))
    if not found:
        raise no_experiment(wanted)
    return answer({"experiment": found[0]})


async def get_by_name(request: web.Request) -> web.Response:
    """The experiment of a name, deleted or not."""
    name = (await asked(request)).required_text("experiment_name")

    async def named(snapshot: Snapshot) -> list[Document]:
        row = await snapshot.row(_BLOCKS["id_of"], name)
        return [] if row is None else await load(snapshot, [row["experiment_id"]])

    found = await read_for_gateway(request, named)
    if not found:
        raise missing(f"Could not find experiment with name '{name}'")
    return answer({"experiment": found[0]})


async def search_experiments(request: web.Request) -> web.Response:
    """A page of the experiments that match a filter."""
    fields = await asked(request)
    text, order_by = fields.text("filter"), fields.texts("order_by")
    shown = stage(fields, "view_type")
    sought = Sought(
        EXPERIMENTS,
        parsed_filter(text, LANGUAGE),
        parsed_order(order_by, LANGUAGE) or ORDER_DEFAULT,
        [] if shown is None else [("in_lifecycle_stage", shown)],
        ["experiments", text, order_by, shown],
        fields.max_results(0, MAX_RESULTS_MOST),
        fields.text("page_token"),
    )

    async def found(snapshot: Snapshot) -> tuple[list[Document], dict[str, str]]:
        rows, following = await pages.page(snapshot, sought)
        return await load(snapshot, [row[0] for row in rows]), following

    documents, following = await read_for_gateway(request, found)
    return answer(({"experiments": documents} if documents else {}) | following)


ENDPOINTS: Final = (
    Endpoint("GET", "experiments/get", get_experiment),
    Endpoint("GET", "experiments/get-by-name", get_by_name),
    Endpoint("GET", "experiments/search", search_experiments),
    Endpoint("POST", "experiments/search", search_experiments),
)
