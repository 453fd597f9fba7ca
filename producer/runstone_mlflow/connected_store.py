"""MLflow's REST store at a Runstone: what it asks waits until this process's own writes can be read.

The base of the store's parts. What Runstone has nothing of (traces, evaluation, prompts' and gateways'
administration) is listed as empty, so that pages of MLflow's UI which ask for it are shown.
"""

from functools import partial
from typing import Any, Final

from mlflow.protos.service_pb2 import (
    CreateExperiment,
    GetExperiment,
    GetExperimentByName,
    GetMetricHistory,
    GetRun,
)
from mlflow.store.tracking.rest_store import RestStore
from mlflow.utils.credentials import get_default_host_creds

from runstone_mlflow import addresses
from runstone_mlflow.journal import Journal, journal_of

_UNWAITED: Final = {CreateExperiment, GetExperiment, GetExperimentByName, GetRun, GetMetricHistory}
"""What does not depend on this process's runs, or has waited for the one it is about."""

_EMPTY: Final = (
    "List",
    "SearchTraces",
    "SearchEvaluationDatasets",
    "SearchIssues",
    "QueryTrace",
    "BatchGetTrace",
)
"""Requests for several things of which Runstone has none begin so."""


class ConnectedStore(RestStore):  # type: ignore[misc]  # mlflow's classes are untyped
    """The server behind *store_uri*, and what this process wrote to it."""

    def __init__(self, store_uri: str) -> None:
        address = addresses.server(store_uri)
        super().__init__(partial(get_default_host_creds, address))
        self._uri = store_uri
        self._journal: Journal = journal_of(address)

    def _call_endpoint(self, api: Any, *args: Any, **named: Any) -> Any:
        if api.__name__.startswith(_EMPTY):
            return named.get("response_proto") or api.Response()
        if api not in _UNWAITED:
            self._journal.settle()
        return super()._call_endpoint(api, *args, **named)
