"""Every artifact route of MLflow's surface, wired to the store."""

from aiohttp import web

from runstone_gateway.mlflow.artifact_parts import ArtifactParts
from runstone_gateway.mlflow.artifact_pointers import Pointers
from runstone_gateway.mlflow.artifact_proxy import ArtifactProxy
from runstone_gateway.mlflow.run_artifacts import RunArtifacts
from runstone_gateway.mlflow.services import Services
from runstone_gateway.stores.store import Store


def add_artifact_routes(router: web.UrlDispatcher, store: Store, services: Services) -> None:
    """Serve the proxy, uploads in parts, and the artifacts of runs and models by their ids.

    To be called before the routes that say what is not served.
    """
    pointers = Pointers(services.writes)
    ArtifactProxy(store, pointers).add_to(router)
    ArtifactParts(store, pointers).add_to(router)
    RunArtifacts(store, pointers, services).add_to(router)
