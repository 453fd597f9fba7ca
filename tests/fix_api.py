"""The read API over a test's own database.

- ``rows``: puts rows into the read model by hand (``Rows``).
- ``root``: a folder that is the artifact store.
- ``api``: an HTTP client of the API, served on 127.0.0.1 by this process.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from runstone_query.app import application
from runstone_query.configuration import Configuration
from tests.read_model_rows import Rows

TOPICS = {"events": "t.events", "catalog": "t.catalog"}


@pytest.fixture
async def rows(database: str) -> AsyncIterator[Rows]:
    made = await Rows.connect(database)
    yield made
    await made.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
async def api(database: str, root: Path) -> AsyncIterator[TestClient]:
    app = application(Configuration(database, root, "", TOPICS))
    async with TestClient(TestServer(app)) as client:
        yield client
