"""Logged models: made, read and searched by REST, their files found through this process's own addresses."""

from typing import Any

from mlflow.entities import LoggedModel
from mlflow.store.entities.paged_list import PagedList

from runstone_mlflow import addresses
from runstone_mlflow.connected_store import ConnectedStore


class ModelCalls(ConnectedStore):
    """The calls about logged models."""

    def create_logged_model(self, *args: Any, **named: Any) -> LoggedModel:
        """By REST."""
        return self._placed_model(super().create_logged_model(*args, **named))

    def get_logged_model(self, *args: Any, **named: Any) -> LoggedModel:
        """As MLflow's."""
        return self._placed_model(super().get_logged_model(*args, **named))

    def finalize_logged_model(self, *args: Any, **named: Any) -> LoggedModel:
        """By REST."""
        return self._placed_model(super().finalize_logged_model(*args, **named))

    def search_logged_models(self, *args: Any, **named: Any) -> Any:
        """As MLflow's."""
        found = super().search_logged_models(*args, **named)
        return PagedList([self._placed_model(each) for each in found], found.token)

    def _placed_model(self, model: LoggedModel) -> LoggedModel:
        model.artifact_location = addresses.local_uri(self._uri, model.artifact_location or "")
        return model
