"""MLflow's artifact proxy over both kinds of store: what clients put, find again, and never get."""

import asyncio
import hashlib
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from runstone.events.artifact_roots import parse_root, uri_below
from tests.fix_stack import Stack

RUN = "0190f5d8e4b07c3a9b1d2e3f4a5b6c7d"
PROXY = "/api/2.0/mlflow-artifacts"
FOLDER = f"7/{RUN}/artifacts"


@pytest.fixture(params=["folder", "bucket"])
def artifact_root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "bucket":
        return request.getfixturevalue("bucket")
    return (tmp_path / "artifact store").as_uri()


async def put(stack: Stack, path: str, body: Any, expected: int = 200) -> str:
    url = URL(f"{stack.url}{PROXY}/artifacts/{path}", encoded=True)
    async with stack.client.session.put(
        url, data=io.BytesIO(body) if isinstance(body, bytes) else body
    ) as answer:
        assert answer.status == expected, await answer.text()
        return await answer.text()


async def got(stack: Stack, path: str, **headers: str) -> tuple[int, bytes, Any]:
    url = URL(f"{stack.url}{PROXY}/artifacts/{path}", encoded=True)
    async with stack.client.session.get(url, headers=headers) as answer:
        return answer.status, await answer.read(), answer.headers


async def listed(stack: Stack, path: str) -> list[Any]:
    async with stack.client.get(f"{PROXY}/artifacts", params={"path": path}) as answer:
        assert answer.status == 200, await answer.text()
        found = await answer.json()
        assert found == {} or found["files"]
        return found.get("files", [])


async def test_a_file_that_was_put_is_listed_read_deleted_and_pointed_at(
    stack: Stack, artifact_root: str
) -> None:
    body = os.urandom(3_000_000)
    await put(stack, f"{FOLDER}/model/data%20%25x.bin", body)
    await put(stack, f"{FOLDER}/notes.txt", b"hello")
    await put(stack, f"{FOLDER}/empty", b"")
    assert await listed(stack, FOLDER) == [
        {"path": "empty", "is_dir": False},
        {"path": "model", "is_dir": True},
        {"path": "notes.txt", "is_dir": False, "file_size": 5},
    ]
    assert await listed(stack, f"{FOLDER}/model") == [
        {"path": "data %x.bin", "is_dir": False, "file_size": len(body)}
    ]
    assert await listed(stack, f"{FOLDER}/notes.txt") == []
    assert await listed(stack, f"{FOLDER}/nothing") == []
    status, found, headers = await got(stack, f"{FOLDER}/model/data%20%25x.bin")
    assert (status, found) == (200, body)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Disposition"].startswith("attachment")
    pointers = await stack.database.until(
        "SELECT path, uri, size, sha256, media_type FROM artifacts ORDER BY path", lambda rows: len(rows) == 3
    )
    root = parse_root(artifact_root)
    assert pointers[1] == (
        "model/data %x.bin",
        uri_below(root, f"{FOLDER}/model/data %x.bin"),
        len(body),
        hashlib.sha256(body).hexdigest(),
        "application/octet-stream",
    )
    content = f"/api/v1/runs/{RUN}/artifacts/content"
    async with stack.client.get(
        content, params={"path": "model/data %x.bin"}, headers={"Range": "bytes=5-99"}
    ) as answer:
        assert (answer.status, await answer.read()) == (206, body[5:100])
    for path in ("model", "notes.txt", "notes.txt"):
        async with stack.client.delete(f"{PROXY}/artifacts/{FOLDER}/{path}") as answer:
            assert (answer.status, await answer.json()) == (200, {})
    assert await listed(stack, FOLDER) == [{"path": "empty", "is_dir": False}]
    await stack.database.until("SELECT path FROM artifacts", lambda rows: rows == [("empty",)])
    status, found, _ = await got(stack, f"{FOLDER}/notes.txt")
    assert (status, (await _json(found))["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


async def _json(body: bytes) -> Any:
    import orjson

    return orjson.loads(body)


async def test_a_range_of_a_file_is_sent(stack: Stack) -> None:
    body = bytes(range(256)) * 5000
    await put(stack, f"{FOLDER}/x.bin", body)
    for wanted, first, last in (
        ("0-0", 0, 0),
        ("1000-", 1000, len(body) - 1),
        ("-5", len(body) - 5, len(body) - 1),
    ):
        status, found, headers = await got(stack, f"{FOLDER}/x.bin", Range=f"bytes={wanted}")
        assert (status, found) == (206, body[first : last + 1])
        assert headers["Content-Range"] == f"bytes {first}-{last}/{len(body)}"
    assert (await got(stack, f"{FOLDER}/x.bin", Range="bytes=9999999-"))[0] == 416
    assert (await got(stack, f"{FOLDER}/x.bin", Range="bytes=0-1,5-6"))[:2] == (200, body)


async def test_a_file_is_no_folder_and_a_folder_no_file(stack: Stack) -> None:
    await put(stack, f"{FOLDER}/a/b", b"x")
    for path in ("a", "a/b/c", "a/b/c/d"):
        assert "choose another artifact path" in await put(stack, f"{FOLDER}/{path}", b"y", expected=400)
    status, found, _ = await got(stack, f"{FOLDER}/a")
    assert (status, (await _json(found))["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert (await got(stack, f"{FOLDER}/a/b/c"))[0] == 404
    assert (await got(stack, f"{FOLDER}/a/b"))[:2] == (200, b"x")


ELSEWHERE = (
    f"{FOLDER}/../x", f"{FOLDER}/%2e%2e/x", f"{FOLDER}/%2E./x", f"{FOLDER}/%252e%252e/x",
    f"{FOLDER}/%25252e%25252e/x", f"{FOLDER}/..%2fx", f"{FOLDER}/..%5Cx", f"{FOLDER}/a%5Cb",
    f"{FOLDER}/a%255Cb", f"{FOLDER}/a%00b", f"{FOLDER}/a%2500b", f"{FOLDER}/a//b", f"{FOLDER}/./b",
    "/etc/passwd", "%2Fetc/passwd", "%252Fetc/passwd", "C:/x", "C%3A/x", f"{FOLDER}/x%23y", f"{FOLDER}/%ff",
    f"{FOLDER}/a%0Ab", f"{FOLDER}/" + "a" * 256, f"{FOLDER}/" + "a/" * 450 + "b", "", ".runstone-installation",
    f"7/{RUN}/fields/" + "0" * 64, "file:///etc/passwd",
)  # fmt: skip


async def test_a_path_that_leads_elsewhere_is_refused_and_nothing_is_written(stack: Stack) -> None:
    before = await everything(stack)
    for path in ELSEWHERE:
        assert "INVALID_PARAMETER_VALUE" in await put(stack, path, b"evil", expected=400), path
        url = URL(f"{stack.url}{PROXY}/artifacts/{path}", encoded=True)
        async with stack.client.session.delete(url) as answer:
            assert answer.status == 400, path
        status, body, _ = await got(stack, path)
        assert status in {400, 404}, path
        assert b"root:" not in body
    assert await everything(stack) == before
    for path in ("..", "%2e%2e", "a\\b", "/etc", f"{FOLDER}/../.."):
        async with stack.client.get(f"{PROXY}/artifacts", params={"path": path}) as answer:
            assert answer.status == 400, path


async def everything(stack: Stack) -> list[Any]:
    return await listed(stack, "")


async def test_an_upload_that_is_cut_off_leaves_nothing(stack: Stack) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield bytes(2_000_000)
        raise ConnectionResetError("the client is gone")

    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await put(stack, f"{FOLDER}/half", body())
    await put(stack, f"{FOLDER}/whole", b"x")
    async with asyncio.timeout(10):
        while [entry["path"] for entry in await listed(stack, FOLDER)] != ["whole"]:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
