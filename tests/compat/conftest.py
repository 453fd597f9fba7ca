"""The two servers, started once: ``servers`` is (MLflow's, Runstone's), ``trace`` what Runstone was asked."""

import os
from collections.abc import Iterator

import pytest

from tests.compat.recording_proxy import Trace, recording
from tests.compat.servers import Server, Stack, data_folder, mlflow_server, runstone_stack

# read by mlflow when it is imported: it reports nothing to its makers from here, and a fault of a server
# shows as one at once instead of after minutes of retries
os.environ |= {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "GIT_PYTHON_REFRESH": "quiet",
    "MPLBACKEND": "agg",
}


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A running ``runstone up``."""
    with data_folder() as folder, runstone_stack(folder / "data") as running:
        yield running


@pytest.fixture(scope="session")
def trace(stack: Stack) -> Iterator[Trace]:
    """The requests that clients made of Runstone so far."""
    with recording(stack.address) as recorded:
        yield recorded


@pytest.fixture(scope="session")
def servers(stack: Stack, trace: Trace) -> Iterator[tuple[Server, Server]]:
    """MLflow's server and Runstone."""
    with data_folder() as folder, mlflow_server(folder, stack.new_database("mlflow")) as address:
        yield Server("mlflow", address, address), Server("runstone", trace.url, stack.address)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The trace and the list of differences are judged when everything else has run."""
    items.sort(key=lambda item: "test_trace" in item.nodeid or "test_accepted" in item.nodeid)
