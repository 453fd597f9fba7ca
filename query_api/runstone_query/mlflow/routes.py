"""All of MLflow's reading endpoints, in one place."""

from typing import Final

from runstone_query.mlflow import logged_models, model_versions, registered_models
from runstone_query.mlflow.endpoints import Endpoint

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *logged_models.ENDPOINTS,
    *registered_models.ENDPOINTS,
    *model_versions.ENDPOINTS,
)
