"""``logged-models/…``: models that runs have logged."""

from typing import Final

from aiohttp import web

from runstone_query.inputs import storable
from runstone_query.mlflow import logged_model_documents, logged_model_search
from runstone_query.mlflow.asked import asked
from runstone_query.mlflow.endpoints import Endpoint, answer
from runstone_query.mlflow.errors import missing
from runstone_query.mlflow.logged_model_documents import POINTS_ALONE, POINTS_IN_A_PAGE
from runstone_query.mlflow.pages import page
from runstone_query.reading import read_for_gateway
from runstone_query.snapshot import Snapshot


async def get(request: web.Request) -> web.Response:
    """One logged model."""
    model_id = request.match_info["model_id"]
    deleted = request.query.get("allow_deleted", "false").lower() == "true"
    found = []
    if storable(model_id):
        found = await read_for_gateway(
            request,
            lambda snapshot: logged_model_documents.logged_models(
                snapshot, [model_id], POINTS_ALONE, deleted=deleted
            ),
        )
    if not found:
        raise missing(f"Logged model with ID '{model_id}' not found.")
    return answer({"model": found[0]})


async def search(request: web.Request) -> web.Response:
    """A page of the logged models that a filter finds."""
    sought = logged_model_search.sought(await asked(request))

    async def found(snapshot: Snapshot) -> web.Response:
        ids, following = await page(snapshot, sought)
        models = await logged_model_documents.logged_models(
            snapshot, [model_id for (model_id,) in ids], POINTS_IN_A_PAGE
        )
        return answer(({"models": models} if models else {}) | following)

    return await read_for_gateway(request, found)


ENDPOINTS: Final = (
    Endpoint("GET", "logged-models/{model_id}", get),
    Endpoint("POST", "logged-models/search", search),
)
