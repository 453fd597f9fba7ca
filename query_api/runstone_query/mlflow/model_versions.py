"""``model-versions/…``: the numbered versions of registered models."""

from typing import Final

from aiohttp import web

from runstone.events.registry_rules import check_model_name, version_number
from runstone_query.mlflow import registry_documents, registry_search
from runstone_query.mlflow.asked import asked
from runstone_query.mlflow.endpoints import Endpoint, answer
from runstone_query.mlflow.errors import MlflowError, missing
from runstone_query.mlflow.pages import page
from runstone_query.reading import read_for_gateway
from runstone_query.snapshot import Snapshot

PAGE_MAX: Final = 200_000
"""MLflow's, and its default as well."""


def no_version(name: str, version: str) -> MlflowError:
    """404: there is no such version."""
    return missing(f"Model Version (name={name}, version={version}) not found")


async def get(request: web.Request) -> web.Response:
    """One version."""
    fields = await asked(request)
    name, version = fields.required_text("name"), fields.required_text("version")
    check_model_name(name)
    number = version_number(version)

    async def one(snapshot: Snapshot) -> web.Response:
        found = await registry_documents.model_versions(snapshot, [(name, number)])
        if not found:
            raise no_version(name, version)
        return answer({"model_version": (await registry_documents.with_aliases(snapshot, found))[0]})

    return await read_for_gateway(request, one)


async def search(request: web.Request) -> web.Response:
    """A page of the versions that a filter finds."""
    fields = await asked(request)
    limit = fields.max_results(PAGE_MAX, PAGE_MAX)
    sought = registry_search.versions(
        fields.text("filter"), fields.texts("order_by"), limit, fields.text("page_token")
    )

    async def found(snapshot: Snapshot) -> web.Response:
        wanted, following = await page(snapshot, sought)
        versions = await registry_documents.model_versions(
            snapshot, [(name, version) for name, version in wanted]
        )
        return answer(({"model_versions": versions} if versions else {}) | following)

    return await read_for_gateway(request, found)


async def get_download_uri(request: web.Request) -> web.Response:
    """Where the files of a version lie."""
    fields = await asked(request)
    name, version = fields.text("name"), fields.text("version")
    check_model_name(name)
    number = version_number(version)
    found = await read_for_gateway(
        request, lambda snapshot: registry_documents.download_uri(snapshot, (name, number))
    )
    if found is None:
        raise no_version(name, version)
    return answer({"artifact_uri": found})


ENDPOINTS: Final = (
    Endpoint("GET", "model-versions/get", get),
    Endpoint("GET", "model-versions/search", search),
    Endpoint("GET", "model-versions/get-download-uri", get_download_uri),
)
