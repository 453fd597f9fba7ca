"""The installed commands: ``runstone api`` serves and stops, ``runstone runs`` asks it."""

import asyncio
import contextlib
import http.server
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import orjson
import pytest

from tests.read_model_rows import Rows

RUNSTONE = (sys.executable, "-m", "runstone.cli")


async def runstone(address: str, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``runstone *arguments*`` against *address*."""
    process = await asyncio.create_subprocess_exec(
        *RUNSTONE,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"RUNSTONE_TRACKING_URI": address} | environment,
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@contextlib.asynccontextmanager
async def serving(database: str, root: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """``runstone api`` and its address; stopped by SIGTERM in the end."""
    process = await asyncio.create_subprocess_exec(
        *RUNSTONE,
        "api",
        "--port",
        "0",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | {"RUNSTONE_POSTGRES_DSN": database, "RUNSTONE_ARTIFACT_ROOT": str(root)},
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            line = (await process.stdout.readline()).decode()
        assert line.startswith("runstone api: ready at http://127.0.0.1:")
        yield process, line.split()[-1]
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(10):
            await process.wait()


async def test_two_runs_are_listed_shown_and_compared(database: str, rows: Rows, root: Path) -> None:
    a = await rows.run(
        run_id="a" * 32, name="Alice's", params={"C": "0.1", "s": "x"}, metrics={"accuracy": 0.8}
    )
    b = await rows.run(run_id="b" * 32, name="Bob's", params={"C": "0.5", "s": "x"}, start_time=2000)
    await rows.artifact(a, "model/model.pkl", "file:///nowhere", size=2048)
    async with serving(database, root) as (_process, address):
        code, out, err = await runstone(address, "runs", "compare", "aaa", b)
        assert (code, err) == (0, "")
        lines = out.splitlines()
        assert any(line.startswith("≠  C") and "0.1" in line and "0.5" in line for line in lines)
        assert any(line.startswith("   s ") for line in lines)
        assert any("accuracy" in line and "0.8" in line for line in lines)
        assert f"      {address}/api/v1/runs/{a}/artifacts/content?path=model/model.pkl" in lines

        code, out, _ = await runstone(
            address, "runs", "list", "--experiment", "churn", "--limit", "1", COLUMNS="60"
        )
        assert code == 0
        assert "Bob's" in out
        assert "Alice's" not in out
        assert "--limit" in out
        assert max(map(len, out.splitlines())) <= 60
        code, out, _ = await runstone(address, "runs", "list", "--filter", "metrics.accuracy > 0.5", "--json")
        assert [run["run_id"] for run in orjson.loads(out)["runs"]] == [a]
        code, out, _ = await runstone(address, "runs", "list", "--experiment", "nowhere")
        assert (code, out) == (0, "no experiment has the name 'nowhere'\n")

        code, out, _ = await runstone(address, "runs", "show", "bb")
        assert code == 0
        assert "Bob's" in out
        code, out, _ = await runstone(address, "runs", "show", "bb", "--json")
        assert orjson.loads(out)["params"] == {"C": "0.5", "s": "x"}

        for arguments, expected, said in (
            (("runs", "show", "nobody"), 1, "nobody"),
            (("runs", "compare", a, "nobody"), 1, "nobody"),
            (("runs", "list", "--filter", "metrics.a >"), 2, "filter"),
            (("runs", "list", "--limit", "0"), 2, "0"),
        ):
            code, out, err = await runstone(address, *arguments)
            assert (code, out) == (expected, "")
            assert said in err
            assert "Traceback" not in err


async def test_a_beginning_that_several_runs_share_is_refused(database: str, rows: Rows, root: Path) -> None:
    await rows.run(run_id="ab" * 16)
    await rows.run(run_id="ac" * 16)
    async with serving(database, root) as (_process, address):
        code, _, err = await runstone(address, "runs", "show", "a")
    assert code == 1
    assert "several" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_api_stops_cleanly_with_a_connection_open(database: str, root: Path, number: int) -> None:
    async with serving(database, root) as (process, address):
        port = int(address.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" in await reader.readline()
        process.send_signal(number)
        begun = time.monotonic()
        async with asyncio.timeout(10):
            assert await process.wait() == 0
        assert time.monotonic() - begun < 5
        writer.close()


async def test_a_compressed_body_is_refused_by_its_header(database: str, root: Path) -> None:
    async with serving(database, root) as (_process, address), aiohttp.ClientSession() as client:
        for coding in ("gzip", "deflate", "br", "zstd"):
            answer = await client.post(
                f"{address}/api/v1/runs/search",
                data=io.BytesIO(b"x"),
                headers={"Content-Type": "application/json", "Content-Encoding": coding},
            )
            found = await answer.json(content_type="application/problem+json")
            assert (answer.status, found["field"], found["found"]) == (415, "Content-Encoding", coding)


async def test_a_port_that_is_taken_is_one_line(database: str, root: Path) -> None:
    async with serving(database, root) as (_process, address):
        port = address.rpartition(":")[2]
        code, out, err = await runstone(address, "api", "--port", port, RUNSTONE_POSTGRES_DSN=database)
    assert (code, out) == (1, "")
    assert err.startswith("runstone: cannot listen on")
    assert len(err.splitlines()) == 1


async def test_a_server_that_is_away_or_another_is_one_line() -> None:
    code, out, err = await runstone("http://127.0.0.1:1", "runs", "list")
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "http://127.0.0.1:1" in err
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        code, out, err = await runstone(f"http://127.0.0.1:{server.server_port}", "runs", "list")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert "not a Runstone server" in err


@pytest.mark.parametrize("address", ["http://a..b", "http://127.0.0.1:1/ü"])
async def test_an_address_that_nobody_can_have_is_one_line(address: str) -> None:
    code, out, err = await runstone(address, "runs", "list")
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert address in err


@pytest.mark.parametrize("arguments", [("show", "\udcff"), ("show", ""), ("list", "--filter", "\udcff")])
async def test_an_argument_that_is_no_text_is_a_usage_error(arguments: tuple[str, ...]) -> None:
    code, out, err = await runstone("http://127.0.0.1:1", "runs", *arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


def test_an_output_that_takes_nothing_is_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*RUNSTONE, "migrate", "--print-sql"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("runstone: ")
    assert len(done.stderr.splitlines()) == 1
