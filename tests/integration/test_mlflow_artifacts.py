"""MLflow's artifact proxy over both kinds of store: what clients put, find again, and never get."""

import asyncio
import contextlib
import dataclasses
import hashlib
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from runstone.events.artifact_paths import MARKER
from runstone.events.artifact_roots import parse_root, uri_below
from runstone_gateway.stores import open_store
from tests.fix_stack import Stack, another_gateway

pytestmark = pytest.mark.timeout(900)  # the first use of a bucket on a machine builds the S3 server

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


async def test_a_reader_that_is_slow_gets_all_and_one_that_leaves_leaves_nothing_open(stack: Stack) -> None:
    body = os.urandom(20_000_000)
    await put(stack, f"{FOLDER}/large.bin", body)
    url = URL(stack.url)
    asked = f"GET {PROXY}/artifacts/{FOLDER}/large.bin HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    readers = []
    for _ in range(2):
        reader, writer = await asyncio.open_connection(url.host, url.port, limit=4096)
        writer.write(asked)
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head
        readers.append((reader, writer))
    assert (await got(stack, f"{FOLDER}/large.bin"))[1] == body
    (slow, slow_writer), (_leaving, leaving_writer) = readers
    leaving_writer.transport.abort()
    assert await slow.readexactly(len(body)) == body
    slow_writer.write(asked)  # the connection serves on
    assert b" 200 " in await slow.readuntil(b"\r\n\r\n")
    assert await slow.readexactly(len(body)) == body
    slow_writer.close()
    for _ in range(1000):
        if not any("large.bin" in found for found in open_files()):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the file is still open")


def open_files() -> list[str]:
    """What the descriptors of this process, which is the gateway's, lead to."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return found


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


async def test_a_runs_folder_of_artifacts_can_be_deleted_but_not_written_over(stack: Stack) -> None:
    for folder in (FOLDER, f"7/{RUN}", "7/models", f"7/models/m-{RUN}", f"7/models/m-{RUN}/artifacts", "7"):
        await put(stack, folder, b"x", expected=400)
    for name in ("a", "b/c"):
        await put(stack, f"{FOLDER}/{name}", b"x")
    for path in (f"7/{RUN}", "7"):
        async with stack.client.delete(f"{PROXY}/artifacts/{path}") as answer:
            assert answer.status == 400
    async with stack.client.delete(f"{PROXY}/artifacts/{FOLDER}") as answer:
        assert answer.status == 200
    assert await listed(stack, FOLDER) == []
    await stack.database.until("SELECT path FROM artifacts", lambda rows: not rows)


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


async def test_parts_go_straight_to_the_store_and_become_one_file(stack: Stack, artifact_root: str) -> None:
    folder = f"{FOLDER}/big%20ones"
    status, begun = await posted(stack, f"mpu/create/{folder}", {"path": "x.bin", "num_parts": 2})
    if artifact_root.startswith("file:"):
        assert (status, begun["error_code"]) == (501, "NOT_IMPLEMENTED")
        assert begun["message"].startswith(
            "Multipart upload is not supported for the current artifact repository"
        )
        for route in ("complete", "abort"):
            body = {"path": "x.bin", "upload_id": "u", "parts": [{"part_number": 1, "etag": "e"}]}
            assert (await posted(stack, f"mpu/{route}/{folder}", body))[0] == 501
        assert (await got_json(stack, f"presigned/{FOLDER}/x"))[0] == 501
        return
    assert status == 200, begun
    parts = [os.urandom(5 << 20), os.urandom(1000)]
    done = []
    for credential, part in zip(begun["credentials"], parts, strict=True):
        url = URL(credential["url"], encoded=True)
        async with stack.client.session.put(url, data=io.BytesIO(part)) as answer:
            assert answer.status == 200, await answer.text()
            done.append({"part_number": credential["part_number"], "etag": answer.headers["ETag"]})
    body = {"path": "/home/me/x.bin", "upload_id": begun["upload_id"], "parts": done}
    wrong = body | {"parts": [done[0], {"part_number": 2, "etag": '"0123"'}]}
    assert (await posted(stack, f"mpu/complete/{folder}", wrong))[0] == 404
    assert await listed(stack, FOLDER) == []
    assert await posted(stack, f"mpu/complete/{folder}", body) == (200, {})
    assert (await got(stack, f"{folder}/x.bin"))[:2] == (200, b"".join(parts))
    await stack.database.until(
        "SELECT path, size, sha256 FROM artifacts",
        lambda rows: rows == [("big ones/x.bin", sum(map(len, parts)), "")],
    )
    status, signed = await got_json(stack, f"presigned/{folder}/x.bin")
    assert (status, signed["file_size"]) == (200, sum(map(len, parts)))
    async with stack.client.session.get(URL(signed["url"], encoded=True)) as answer:
        assert await answer.read() == b"".join(parts)
    assert (await got_json(stack, f"presigned/{folder}/nothing"))[0] == 404
    _, begun = await posted(stack, f"mpu/create/{folder}", {"path": "y.bin"})
    abort = {"path": "y.bin", "upload_id": begun["upload_id"]}
    assert await posted(stack, f"mpu/abort/{folder}", abort) == (200, {})
    assert (await posted(stack, f"mpu/abort/{folder}", abort))[0] == 404
    assert [entry["path"] for entry in await listed(stack, f"{FOLDER}/big ones")] == ["x.bin"]
    assert (await posted(stack, f"mpu/create/{folder}", {"path": "x", "num_parts": 10_001}))[0] == 400
    assert (await posted(stack, f"mpu/create/{FOLDER}/%252e%252e", {"path": "x"}))[0] == 400


async def posted(stack: Stack, route: str, body: Any) -> tuple[int, Any]:
    async with stack.client.session.post(
        URL(f"{stack.url}{PROXY}/{route}", encoded=True), json=body
    ) as answer:
        return answer.status, await answer.json()


async def got_json(stack: Stack, route: str) -> tuple[int, Any]:
    async with stack.client.session.get(URL(f"{stack.url}{PROXY}/{route}", encoded=True)) as answer:
        return answer.status, await answer.json()


async def test_the_artifacts_of_a_run_are_found_by_its_id(stack: Stack) -> None:
    async with stack.client.post("/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}) as answer:
        run = (await answer.json())["run"]["info"]["run_id"]
    await put(stack, f"0/{run}/artifacts/page/x.html", b"<script>")
    await put(stack, f"0/{run}/artifacts/notes.md", b"hello")
    for name in ("run_id", "run_uuid"):
        async with stack.client.get("/get-artifact", params={name: run, "path": "page/x.html"}) as answer:
            assert (answer.status, await answer.read()) == (200, b"<script>")
            assert answer.headers["Content-Disposition"] == "attachment; filename=x.html"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Content-Security-Policy"].startswith("sandbox")
    for path, status in (("nothing", 404), ("page", 400), ("../../x", 400), ("%2e%2e/x", 400), ("", 400)):
        async with stack.client.get("/get-artifact", params={"run_id": run, "path": path}) as answer:
            assert answer.status == status, path
    async with stack.client.get("/get-artifact", params={"run_id": RUN, "path": "x"}) as answer:
        assert (await answer.json())["message"] == f"Run with id={RUN} not found"
    async with stack.client.get("/api/2.0/mlflow/artifacts/list", params={"run_id": run}) as answer:
        assert await answer.json() == {
            "root_uri": f"mlflow-artifacts:/0/{run}/artifacts",
            "files": [
                {"path": "notes.md", "is_dir": False, "file_size": 5},
                {"path": "page", "is_dir": True},
            ],
        }
    query = {"run_id": run, "path": "page"}
    async with stack.client.get("/ajax-api/2.0/mlflow/artifacts/list", params=query) as answer:
        assert (await answer.json())["files"] == [{"path": "page/x.html", "is_dir": False, "file_size": 8}]
    upload = {"run_uuid": run, "path": "drawn/plot.json"}
    async with stack.client.post("/ajax-api/2.0/mlflow/upload-artifact", params=upload, data=b"{}") as answer:
        assert answer.status == 200
    assert (await got(stack, f"0/{run}/artifacts/drawn/plot.json"))[1] == b"{}"
    for route in ("presigned-download-url", "presigned-upload-url"):
        body = {"run_id": run, "path": "x"}
        async with stack.client.post(f"/api/2.0/mlflow/artifacts/{route}", json=body) as answer:
            assert answer.status == 400
            assert "is not supported for" in (await answer.json())["message"]


async def test_a_models_file_is_a_pointer_in_its_source_runs_stream(stack: Stack) -> None:
    async with stack.client.post("/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}) as answer:
        run = (await answer.json())["run"]["info"]["run_id"]
    body = {"experiment_id": "0", "name": "m", "source_run_id": run}
    async with stack.client.post("/api/2.0/mlflow/logged-models", json=body) as answer:
        assert answer.status == 200, await answer.text()
        model = (await answer.json())["model"]["info"]["model_id"]
    await put(stack, f"0/models/{model}/artifacts/MLmodel", b"flavors: {}")
    await stack.database.until(
        "SELECT stream, model_id, path, size FROM model_artifacts",
        lambda rows: rows == [(run, model, "MLmodel", 11)],
    )
    route = f"/api/2.0/mlflow/logged-models/{model}/artifacts/directories"
    async with stack.client.get(route) as answer:
        assert await answer.json() == {
            "root_uri": f"mlflow-artifacts:/0/models/{model}/artifacts",
            "files": [{"path": "MLmodel", "is_dir": False, "file_size": 11}],
        }
    route = f"/ajax-api/2.0/mlflow/logged-models/{model}/artifacts/files"
    async with stack.client.get(route, params={"artifact_file_path": "MLmodel"}) as answer:
        assert (answer.status, answer.content_type, await answer.read()) == (
            200,
            "text/plain",
            b"flavors: {}",
        )


async def test_a_native_upload_is_checked_before_anybody_sees_it(stack: Stack, artifact_root: str) -> None:
    body = os.urandom(9 << 20)
    query = {"experiment_id": "7", "run_id": RUN, "path": "big"}
    for said, expected in (("0" * 64, 422), (hashlib.sha256(body).hexdigest(), 201)):
        async with stack.client.put(
            "/api/v1/artifacts", params=query, data=io.BytesIO(body), headers={"X-Content-SHA256": said}
        ) as answer:
            assert answer.status == expected, await answer.text()
            found = await answer.json()
        assert len(await listed(stack, FOLDER)) == (expected == 201)
    assert found["uri"] == uri_below(parse_root(artifact_root), f"{FOLDER}/big")


async def test_no_link_in_the_folder_is_followed(stack: Stack, artifact_root: str, tmp_path: Path) -> None:
    if not artifact_root.startswith("file:"):
        return  # a bucket has no links
    root = parse_root(artifact_root)
    assert isinstance(root, Path)
    secret = tmp_path / "secret"
    await put(stack, f"{FOLDER}/x", b"x")

    def prepare() -> None:
        secret.mkdir()
        (secret / "file").write_text("root: secret")
        (root / FOLDER / "folder").symlink_to(secret)
        (root / FOLDER / "file").symlink_to(secret / "file")
        os.mkfifo(root / FOLDER / "pipe")

    await asyncio.to_thread(prepare)
    assert [entry["path"] for entry in await listed(stack, FOLDER)] == ["x"]
    assert await listed(stack, f"{FOLDER}/folder") == []
    for path in ("folder/file", "file", "pipe"):
        assert (await got(stack, f"{FOLDER}/{path}"))[0] == 404
    await put(stack, f"{FOLDER}/folder/evil", b"evil", expected=400)
    await put(stack, f"{FOLDER}/file", b"mine")
    assert (await got(stack, f"{FOLDER}/file"))[1] == b"mine"
    for path in ("folder", "folder/file"):
        async with stack.client.delete(f"{PROXY}/artifacts/{FOLDER}/{path}") as answer:
            assert answer.status in {200, 400}
    assert await asyncio.to_thread(lambda: [p.name for p in secret.iterdir()]) == ["file"]
    assert await asyncio.to_thread((secret / "file").read_text) == "root: secret"


PROGRAM = """
import sys
import runstone
with runstone.start_run(run_name="native") as run:
    runstone.log_text("weights", "model/weights.txt")
assert run.wait_until_queryable(60), "it did not come"
print(run.experiment_id, run.run_id)
"""


async def test_a_native_clients_file_is_where_mlflows_clients_look_for_it(
    stack: Stack, tmp_path: Path
) -> None:
    said = await stack.run_program(PROGRAM, tmp_path / "spool")
    experiment, run = said.split()
    assert await listed(stack, f"{experiment}/{run}/artifacts/model") == [
        {"path": "weights.txt", "is_dir": False, "file_size": 7}
    ]
    content = f"/api/v1/runs/{run}/artifacts/content"
    async with stack.client.get(content, params={"path": "model/weights.txt"}) as answer:
        assert (answer.status, await answer.read()) == (200, b"weights")
    async with stack.client.get(
        "/get-artifact", params={"run_id": run, "path": "model/weights.txt"}
    ) as answer:
        assert (answer.status, await answer.read()) == (200, b"weights")


async def test_a_store_that_is_away_delays_files_only_and_another_installations_is_refused(
    stack: Stack, artifact_root: str, tmp_path: Path
) -> None:
    bucket = artifact_root.startswith("s3:")
    away = "s3://no-such-bucket" if bucket else f"file://{(await made_a_file(tmp_path)).as_posix()}/store"
    async with another_gateway(with_root(stack, away)) as gateway:
        async with gateway.get("/api/v1/connect") as answer:
            assert (answer.status, (await answer.json())["artifact_root"]) == (200, away)
        async with gateway.post("/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}) as answer:
            assert answer.status == 200
        async with gateway.put(f"{PROXY}/artifacts/{FOLDER}/x", data=b"x") as answer:
            assert (answer.status, (await answer.json())["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
            assert answer.headers["Retry-After"]
    theirs = f"{artifact_root}/theirs"
    async with stack.client.put(
        "/api/v1/artifacts", params={"experiment_id": "7", "run_id": RUN, "path": "x"}
    ):
        pass  # the store is marked by now
    if bucket:
        store = open_store(parse_root(theirs))
        await store.put(MARKER, one(b"another"))
        await store.close()
    else:
        root = parse_root(theirs)
        assert isinstance(root, Path)
        await asyncio.to_thread(root.mkdir, parents=True)
        await asyncio.to_thread((root / MARKER).write_text, "another\n")
    async with another_gateway(with_root(stack, theirs)) as gateway, gateway.get("/api/v1/connect") as answer:
        assert answer.status == 503
        assert "belongs to installation another" in (await answer.json())["detail"]


def with_root(stack: Stack, root: str) -> Stack:
    return dataclasses.replace(stack, environment=stack.environment | {"RUNSTONE_ARTIFACT_ROOT": root})


async def made_a_file(folder: Path) -> Path:
    file = folder / "file"
    await asyncio.to_thread(file.write_text, "")
    return file


async def one(block: bytes) -> AsyncIterator[bytes]:
    yield block
