"""What is hardly HTTP is refused in JSON, at once, in one line of the log; what other servers take is taken."""

import asyncio
import json
import logging

import pytest
from aiohttp.test_utils import TestServer

from runstone_gateway.app import application
from runstone_gateway.configuration import Configuration
from tests.fix_stack import Served

NOWHERE = "127.0.0.1:9"
HEADERS = b"Host: x\r\nContent-Type: application/json\r\n"
RUN = "ab" * 16


@pytest.fixture
async def gateway(tmp_path):
    configuration = Configuration(NOWHERE, NOWHERE, f"http://{NOWHERE}", "", tmp_path)
    async with Served(application(configuration)) as server:
        yield server


async def said_to(server: TestServer, head: bytes, body: bytes = b"") -> tuple[int, dict[str, object]]:
    """Status and JSON of the answer to *head*, and *body* once it is waited for."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    async with asyncio.timeout(10):
        writer.write(head)
        if body:
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length:")[2].split()[0])
        found = await reader.readexactly(length)
    writer.close()
    return int(answer.split()[1]), json.loads(found)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /" + b"a" * 66_000 + b" HTTP/1.1\r\n" + HEADERS + b"\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 66_000 + b"\r\n" + HEADERS + b"\r\n",
        b"GET /api/2.0/mlflow-artifacts/artifacts/\xff HTTP/1.1\r\n" + HEADERS + b"\r\n",
        b"GET /a\0b HTTP/1.1\r\n" + HEADERS + b"\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n" + HEADERS + b"\r\n",
        b"\x16\x03\x01\x02\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_told_so_in_json_and_in_one_line_of_the_log(gateway, caplog, request_):
    caplog.set_level(logging.INFO)
    status, found = await said_to(gateway, request_)
    assert status == 400
    assert found["detail"] == found["message"]
    assert len(json.dumps(found)) < 2000
    assert [record.levelname for record in caplog.records if "is answered with 400" in record.message] == [
        "INFO"
    ]
    assert "Traceback" not in caplog.text


async def test_long_addresses_and_whole_ones_are_read(gateway):
    address = b"http://elsewhere:1/api/2.0/mlflow/nothing?filter=" + b"a" * 60_000
    status, found = await said_to(gateway, b"GET " + address + b" HTTP/1.1\r\n" + HEADERS + b"\r\n")
    assert (status, found["error_code"]) == (404, "ENDPOINT_NOT_FOUND")


@pytest.mark.parametrize(
    "target",
    [
        f"PUT /api/2.0/mlflow-artifacts/artifacts/1/{RUN}/x",
        f"PUT /api/v1/artifacts?experiment_id=1&run_id={RUN}&path=x",
        "POST /api/2.0/mlflow/artifacts/presigned-upload-url",
    ],
)
async def test_a_body_that_goes_on_in_a_wrong_way_keeps_nobody_waiting(gateway, tmp_path, caplog, target):
    status, found = await said_to(
        gateway,
        target.encode()
        + b" HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n"
        + HEADERS
        + b"\r\n",
        b"2\r\n{}\r\nno number\r\n{}\r\n",
    )
    assert status == 400, found
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert "Traceback" not in caplog.text
