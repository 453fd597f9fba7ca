"""From the URIs that MLflow names artifacts by to keys of this installation's store. Pure.

Only what lies in the store is ever read: a URI of anything else names no key, and nobody fetches it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from runstone.events.artifact_roots import ArtifactRoot


def location_of(experiment_id: int, experiment: Mapping[str, Any] | None) -> str:
    """Where an experiment's artifacts lie: the location it was created with, or the usual one."""
    return str((experiment or {}).get("artifact_location") or f"mlflow-artifacts:/{experiment_id}")


def run_root(location: str, run_id: str) -> str:
    """A run's artifact URI."""
    return f"{location.rstrip('/')}/{run_id}/artifacts"


def model_root(location: str, model_id: str) -> str:
    """A logged model's artifact URI."""
    return f"{location.rstrip('/')}/models/{model_id}/artifacts"


def key_of(uri: str, root: ArtifactRoot) -> str | None:
    """The key of what *uri* names, ``mlflow-artifacts:/…`` or below *root*; None where it is elsewhere."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    if parts.scheme == "mlflow-artifacts":
        return uri.partition(":")[2].strip("/") if not parts.netloc else None
    if not isinstance(root, Path):
        return root.key_of(uri.rstrip("/"))
    if parts.scheme not in {"", "file"} or parts.netloc not in {"", "localhost"}:
        return None
    path = Path(unquote(parts.path) if parts.scheme else uri)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else None
