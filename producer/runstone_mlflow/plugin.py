"""What MLflow's entry points name: small functions that import their store when it is asked for.

MLflow loads entry points while it is itself being imported, so nothing of mlflow may be imported up here.
"""

from typing import Any


def tracking_store(store_uri: str, artifact_uri: str | None = None) -> Any:  # noqa: ARG001  # MLflow passes both
    """The store behind ``runstone://host:5000``."""
    from runstone_mlflow.tracking_store import RunstoneStore  # noqa: PLC0415

    return RunstoneStore(store_uri)


def model_registry_store(store_uri: str, tracking_uri: str | None = None) -> Any:  # noqa: ARG001  # as above
    """The model registry behind ``runstone://host:5000``."""
    from runstone_mlflow.registry_store import RunstoneRegistryStore  # noqa: PLC0415

    return RunstoneRegistryStore(store_uri)


def artifact_repository(
    artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
) -> Any:
    """The files of a run or a logged model whose URI was made by `runstone_mlflow.addresses`."""
    from runstone_mlflow.artifact_repository import RunstoneArtifactRepository  # noqa: PLC0415

    return RunstoneArtifactRepository(artifact_uri, tracking_uri, registry_uri)
