"""MLflow's REST store at a Runstone: what it asks waits until this process's own writes can be read.

The base of the store's parts. What Runstone has nothing of (traces, evaluation, prompts' and gateways'
administration) is listed as empty, so that pages of MLflow's UI which ask for it are shown.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.service_pb2 import (
    CreateExperiment,
    GetExperiment,
    GetExperimentByName,
    GetMetricHistory,
    GetRun,
)
from mlflow.store.tracking.rest_store import RestStore
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.proto_json_utils import parse_dict
from mlflow.utils.rest_utils import http_request, verify_rest_response

from runstone_mlflow import addresses
from runstone_mlflow.failures import Unanswered
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


MOMENT_S: Final = 5.0
"""How long a training waits for an answer that it can go on without."""


class ConnectedStore(RestStore):  # type: ignore[misc]  # mlflow's classes are untyped
    """The server behind *store_uri*, and what this process wrote to it."""

    def __init__(self, store_uri: str) -> None:
        address = addresses.server(store_uri)
        super().__init__(partial(get_default_host_creds, address))
        self._uri = store_uri
        self._journal: Journal = journal_of(address)
        self._thread = threading.local()

    @contextmanager
    def _asking_once(self) -> Iterator[None]:
        """Within, this thread's requests are tried once and for a moment, where MLflow tries for minutes.

        Raises:
            Unanswered: the server cannot answer now, and is taken to be away for a while.
        """
        if not self._journal.reachable():
            raise Unanswered
        self._thread.hurries = True
        try:
            yield
        except MlflowException as wrong:
            if isinstance(wrong, RestException) and wrong.get_http_status_code() < 500:
                raise
            self._journal.reachable.lost()
            raise Unanswered from None
        finally:
            self._thread.hurries = False

    def _call_endpoint(self, api: Any, *args: Any, **named: Any) -> Any:
        if getattr(self._thread, "hurries", False):
            return self._call_once(api, *args, **named)
        if api.__name__.startswith(_EMPTY):
            return named.get("response_proto") or api.Response()
        if api not in _UNWAITED:
            self._journal.settle()
        return super()._call_endpoint(api, *args, **named)

    def _call_once(self, api: Any, json_body: str) -> Any:
        endpoint, method = self._METHOD_TO_INFO[api]
        body = json.loads(json_body)
        sent = {"params": body} if method == "GET" else {"json": body}
        answer = http_request(
            self.get_host_creds(),
            endpoint,
            method,
            max_retries=0,
            timeout=MOMENT_S,
            raise_on_status=False,
            **sent,
        )
        found = api.Response()
        parse_dict(js_dict=verify_rest_response(answer, endpoint).json(), message=found)
        return found
