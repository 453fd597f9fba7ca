"""``registered-models/…``: names in the registry, what they hold, and the versions that aliases mean."""

from typing import Final

from aiohttp import web

from runstone.events.registry_rules import STAGES, canonical_stage, check_alias, check_model_name
from runstone_query.mlflow import registry_documents, registry_search
from runstone_query.mlflow.asked import asked
from runstone_query.mlflow.endpoints import Endpoint, answer
from runstone_query.mlflow.errors import MlflowError, invalid, missing
from runstone_query.mlflow.pages import page
from runstone_query.reading import read_for_gateway
from runstone_query.snapshot import Snapshot

PAGE_DEFAULT: Final = 100
PAGE_MAX: Final = 1000


def no_model(name: str) -> MlflowError:
    """404: there is no registered model of this name."""
    return missing(f"Registered Model with name={name} not found")


async def get(request: web.Request) -> web.Response:
    """One registered model."""
    name = (await asked(request)).required_text("name")
    check_model_name(name)
    found = await read_for_gateway(
        request, lambda snapshot: registry_documents.registered_models(snapshot, [name])
    )
    if not found:
        raise no_model(name)
    return answer({"registered_model": found[0]})


async def search(request: web.Request) -> web.Response:
    """A page of the registered models that a filter finds."""
    fields = await asked(request)
    limit = fields.max_results(PAGE_DEFAULT, PAGE_MAX)
    sought = registry_search.models(
        fields.text("filter"), fields.texts("order_by"), limit, fields.text("page_token")
    )

    async def found(snapshot: Snapshot) -> web.Response:
        names, following = await page(snapshot, sought)
        models = await registry_documents.registered_models(snapshot, [name for (name,) in names])
        return answer(({"registered_models": models} if models else {}) | following)

    return await read_for_gateway(request, found)


async def get_latest_versions(request: web.Request) -> web.Response:
    """The latest version in each of the stages that are asked for, or in all."""
    fields = await asked(request)
    name = fields.required_text("name")
    check_model_name(name)
    wanted = fields.texts("stages")

    async def latest(snapshot: Snapshot) -> web.Response:
        if not await registry_documents.registered_models(snapshot, [name]):
            raise no_model(name)
        stages = {canonical_stage(stage) for stage in wanted or STAGES}
        numbers = await registry_documents.latest_versions(snapshot, [name])
        found = [
            version
            for version in await registry_documents.model_versions(snapshot, numbers)
            if version["current_stage"] in stages
        ]
        listed = await registry_documents.with_aliases(snapshot, found)
        return answer({"model_versions": listed} if listed else {})

    return await read_for_gateway(request, latest)


async def get_by_alias(request: web.Request) -> web.Response:
    """The version that an alias points to; ``latest`` is always the one with the greatest number."""
    fields = await asked(request)
    name, alias = fields.required_text("name"), fields.required_text("alias")
    check_model_name(name)
    check_alias(alias)

    async def version(snapshot: Snapshot) -> web.Response:
        if not await registry_documents.registered_models(snapshot, [name]):
            raise no_model(name)
        if alias.lower() == "latest":
            numbers = [n for _, n in await registry_documents.latest_versions(snapshot, [name])]
            if not numbers:
                raise missing(f"Latest version not found for model {name}.")
            number: int | None = max(numbers)
        else:
            number = await registry_documents.version_of_alias(snapshot, name, alias)
        if number is None:
            raise invalid(f"Registered model alias {alias} not found.")
        found = await registry_documents.model_versions(snapshot, [(name, number)])
        return answer({"model_version": (await registry_documents.with_aliases(snapshot, found))[0]})

    return await read_for_gateway(request, version)


ENDPOINTS: Final = (
    Endpoint("GET", "registered-models/get", get),
    Endpoint("GET", "registered-models/search", search),
    Endpoint("GET", "registered-models/get-latest-versions", get_latest_versions),
    Endpoint("POST", "registered-models/get-latest-versions", get_latest_versions),
    Endpoint("GET", "registered-models/alias", get_by_alias),
)
