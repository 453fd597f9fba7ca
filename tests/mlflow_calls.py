"""Calls to MLflow's endpoints as its clients make them, for tests."""

from typing import Any

from aiohttp.test_utils import TestClient

API = "/api/2.0/mlflow"


async def call(client: TestClient, method: str, path: str, **fields: Any) -> tuple[int, dict[str, Any]]:
    """Status and JSON of the answer; the fields go where MLflow's client puts them."""
    sent: dict[str, Any] = {"params": fields} if method == "GET" else {"json": fields}
    async with client.request(method, f"{API}/{path}", **sent) as answer:
        return answer.status, await answer.json()


async def done(client: TestClient, method: str, path: str, **fields: Any) -> dict[str, Any]:
    """The answer of a call that must succeed."""
    status, found = await call(client, method, path, **fields)
    assert status == 200, found
    return found


async def refused(client: TestClient, method: str, path: str, **fields: Any) -> tuple[int, str, str]:
    """Status, error code and message of a call that must not."""
    status, found = await call(client, method, path, **fields)
    assert status >= 400, found
    return status, found["error_code"], found["message"]
