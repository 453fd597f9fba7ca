"""All of MLflow's reading endpoints, in one place."""

from typing import Final

from runstone_query.mlflow import (
    artifacts,
    datasets,
    experiments,
    logged_models,
    metrics,
    model_versions,
    registered_models,
    runs,
)
from runstone_query.mlflow.endpoints import Endpoint

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *experiments.ENDPOINTS,
    *runs.ENDPOINTS,
    *metrics.ENDPOINTS,
    *datasets.ENDPOINTS,
    *artifacts.ENDPOINTS,
    *logged_models.ENDPOINTS,
    *registered_models.ENDPOINTS,
    *model_versions.ENDPOINTS,
)
