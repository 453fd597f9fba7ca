"""Artifact pointers and contents through the read API, over rows in a real Postgres and files in a folder."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from tests.read_model_rows import Rows


async def listed(api: TestClient, run_id: str, **query: str) -> list[dict[str, Any]]:
    async with api.get(f"/api/v1/runs/{run_id}/artifacts", params=query) as answer:
        assert answer.status == 200
        return (await answer.json())["artifacts"]


async def put(rows: Rows, root: Path, run_id: str, path: str, content: bytes, **columns: Any) -> Path:
    file = root / "1" / run_id / "artifacts" / path
    await asyncio.to_thread(file.parent.mkdir, parents=True, exist_ok=True)
    await asyncio.to_thread(file.write_bytes, content)
    await rows.artifact(run_id, path, file.as_uri(), size=len(content), **columns)
    return file


async def test_artifacts_are_listed_folder_by_folder(api: TestClient, rows: Rows, root: Path) -> None:
    run_id = await rows.run()
    for path in ("notes.txt", "model/model.pkl", "model/env/a b.txt", "modelling.txt"):
        await put(rows, root, run_id, path, path.encode())
    top = await listed(api, run_id)
    assert [(entry["path"], entry["is_dir"]) for entry in top] == [
        ("model", True),
        ("modelling.txt", False),
        ("notes.txt", False),
    ]
    assert (top[0]["files"], top[0]["size"]) == (2, len("model/model.pkl") + len("model/env/a b.txt"))
    assert [entry["path"] for entry in await listed(api, run_id, path="model")] == [
        "model/env",
        "model/model.pkl",
    ]
    assert [entry["path"] for entry in await listed(api, run_id, path="model/", recursive="true")] == [
        "model/env/a b.txt",
        "model/model.pkl",
    ]
    (file,) = await listed(api, run_id, path="model/model.pkl")
    assert file == {
        "path": "model/model.pkl",
        "is_dir": False,
        "size": 15,
        "time": 5,
        "uri": (root / "1" / run_id / "artifacts/model/model.pkl").as_uri(),
        "sha256": "0" * 64,
        "media_type": "text/plain",
        "content_url": f"/api/v1/runs/{run_id}/artifacts/content?path=model/model.pkl",
    }
    assert await listed(api, run_id, path="nothing") == []
    (odd,) = await listed(api, run_id, path="model/env")
    async with api.get(odd["content_url"]) as answer:
        assert await answer.read() == b"model/env/a b.txt"


async def test_a_file_is_sent_whole_or_in_part(api: TestClient, rows: Rows, root: Path) -> None:
    run_id = await rows.run()
    content = bytes(range(256)) * 4000
    await put(rows, root, run_id, "data.bin", content, media_type="application/octet-stream")
    address = f"/api/v1/runs/{run_id}/artifacts/content?path=data.bin"
    async with api.get(address) as answer:
        assert (answer.status, await answer.read()) == (200, content)
        assert answer.headers["Accept-Ranges"] == "bytes"
        tag = answer.headers["ETag"]
    async with api.head(address) as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(content)))
    for wanted, first, last in (
        ("bytes=0-0", 0, 0),
        ("bytes=1000-", 1000, len(content) - 1),
        ("bytes=-5", len(content) - 5, len(content) - 1),
        ("bytes=5-99999999", 5, len(content) - 1),
    ):
        async with api.get(address, headers={"Range": wanted, "If-Range": tag}) as answer:
            assert answer.status == 206
            assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(content)}"
            assert await answer.read() == content[first : last + 1]
    for ignored in (
        {"Range": "bytes=0-1,3-4"},
        {"Range": "lines=1-2"},
        {"Range": "bytes=0-1", "If-Range": '"x"'},
    ):
        async with api.get(address, headers=ignored) as answer:
            assert (answer.status, len(await answer.read())) == (200, len(content))
    for beyond in (f"bytes={len(content)}-", "bytes=-0"):
        async with api.get(address, headers={"Range": beyond}) as answer:
            assert answer.status == 416
            assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("media_type", "sent", "place"),
    [
        ("text/plain", "text/plain; charset=utf-8", "inline"),
        ("image/png", "image/png", "inline"),
        ("text/html", "text/html; charset=utf-8", "attachment"),
        ("image/svg+xml", "image/svg+xml", "attachment"),
        ("text/javascript", "text/javascript; charset=utf-8", "attachment"),
        ("x\r\nSet-Cookie: a=b", "application/octet-stream", "attachment"),
        ("", "application/octet-stream", "attachment"),
    ],
)
async def test_no_browser_runs_an_artifact(
    api: TestClient, rows: Rows, root: Path, media_type: str, sent: str, place: str
) -> None:
    run_id = await rows.run()
    await put(rows, root, run_id, 'ü"\r\n.x', b"<script>", media_type=media_type)
    (entry,) = await listed(api, run_id)
    async with api.get(entry["content_url"]) as answer:
        assert (answer.status, await answer.read()) == (200, b"<script>")
        assert answer.headers["Content-Type"] == sent
        assert answer.headers["Content-Disposition"] == f"{place}; filename*=UTF-8''%C3%BC%22%0D%0A.x"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"].startswith("sandbox")
        assert "Set-Cookie" not in answer.headers


async def test_a_pointer_out_of_the_store_is_never_followed(
    api: TestClient, rows: Rows, root: Path, tmp_path: Path
) -> None:
    run_id = await rows.run()
    secret = tmp_path / "secret"
    await asyncio.to_thread(secret.write_text, "secret")
    await asyncio.to_thread((root / "link").symlink_to, secret)
    uris = [
        secret.as_uri(),
        f"{root.as_uri()}/../secret",
        f"{root.as_uri()}/%2e%2e/secret",
        (root / "link").as_uri(),
        f"file://elsewhere{root}/x",
        "s3://bucket/key",
        "/etc/passwd",
        "file://[",
        "file:///%00",
        "",
    ]
    for n, uri in enumerate(uris):
        await rows.artifact(run_id, f"a{n}", uri)
        async with api.get(f"/api/v1/runs/{run_id}/artifacts/content", params={"path": f"a{n}"}) as answer:
            assert answer.status == 403, uri
            assert (await answer.json())["type"] == "urn:runstone:problem:artifact-elsewhere"


async def test_a_file_that_is_gone_is_told_from_one_that_never_was(
    api: TestClient, rows: Rows, root: Path
) -> None:
    run_id = await rows.run()
    file = await put(rows, root, run_id, "gone", b"x")
    await asyncio.to_thread(file.unlink)
    await rows.artifact(run_id, "folder", root.as_uri())
    content = f"/api/v1/runs/{run_id}/artifacts/content"
    for path, status in (("gone", 410), ("folder", 410), ("never", 404), ("", 400)):
        async with api.get(content, params={"path": path}) as answer:
            assert answer.status == status, path
    for address in ("/api/v1/runs/nobody/artifacts", "/api/v1/runs/nobody/artifacts/content?path=x"):
        async with api.get(address) as answer:
            assert answer.status == 404


async def test_an_empty_file_is_sent(api: TestClient, rows: Rows, root: Path) -> None:
    run_id = await rows.run()
    await put(rows, root, run_id, "empty", b"")
    async with api.get(f"/api/v1/runs/{run_id}/artifacts/content?path=empty") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
