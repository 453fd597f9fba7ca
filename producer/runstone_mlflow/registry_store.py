"""MLflow's model registry over Runstone: MLflow's own REST store, with addresses of files translated."""

from functools import partial
from typing import Any

from mlflow.entities.model_registry import ModelVersion
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.model_registry.rest_store import RestStore
from mlflow.utils.credentials import get_default_host_creds

from runstone_mlflow import addresses
from runstone_mlflow.journal import journal_of


class RunstoneRegistryStore(RestStore):  # type: ignore[misc]  # mlflow's classes are untyped
    """The registry behind ``runstone://host:5000``.

    Every request waits until what this process logged before can be seen: a version is made of a run's files.
    """

    def __init__(self, store_uri: str) -> None:
        address = addresses.server(store_uri)
        super().__init__(partial(get_default_host_creds, address))
        self._uri = store_uri
        self._journal = journal_of(address)

    def _call_endpoint(self, *args: Any, **named: Any) -> Any:
        self._journal.settle()
        return super()._call_endpoint(*args, **named)

    def create_model_version(self, name: str, source: str, *args: Any, **named: Any) -> ModelVersion:
        """A version of the files at *source*, which other clients must find as well."""
        made = super().create_model_version(name, addresses.servers_uri(source), *args, **named)
        return self._placed(made)

    def get_model_version(self, *args: Any, **named: Any) -> ModelVersion:
        """As MLflow's."""
        return self._placed(super().get_model_version(*args, **named))

    def get_model_version_by_alias(self, *args: Any, **named: Any) -> ModelVersion:
        """As MLflow's."""
        return self._placed(super().get_model_version_by_alias(*args, **named))

    def update_model_version(self, *args: Any, **named: Any) -> ModelVersion:
        """As MLflow's."""
        return self._placed(super().update_model_version(*args, **named))

    def transition_model_version_stage(self, *args: Any, **named: Any) -> ModelVersion:
        """As MLflow's."""
        return self._placed(super().transition_model_version_stage(*args, **named))

    def search_model_versions(self, *args: Any, **named: Any) -> Any:
        """As MLflow's."""
        found = super().search_model_versions(*args, **named)
        return PagedList([self._placed(each) for each in found], found.token)

    def get_latest_versions(self, *args: Any, **named: Any) -> list[ModelVersion]:
        """As MLflow's."""
        return [self._placed(each) for each in super().get_latest_versions(*args, **named)]

    def get_model_version_download_uri(self, *args: Any, **named: Any) -> str:
        """Where the files of a version lie."""
        return addresses.local_uri(self._uri, super().get_model_version_download_uri(*args, **named))

    def _placed(self, version: ModelVersion) -> ModelVersion:
        version._source = addresses.local_uri(self._uri, version.source or "")  # noqa: SLF001  # the only way
        return version
