"""A proxy that passes an MLflow client's requests on to Runstone and writes down what was asked.

It runs in a thread of its own with its own event loop; the list of exchanges is only ever appended to, by that
thread, and read by the tests after the calls it should hold have returned.
"""

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from aiohttp import ClientSession, ClientTimeout, TCPConnector, hdrs, web
from yarl import URL

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host"}

_TEMPLATES = (
    (re.compile(r"(/mlflow-artifacts/(?:artifacts|mpu/\w+|presigned)/).+"), r"\1{path}"),
    (re.compile(r"/m-[0-9a-f]{32}"), "/{model_id}"),
    (re.compile(r"(/logged-models/\{model_id\}/tags/).+"), r"\1{key}"),
    (re.compile(r"^/(ajax-)?api/"), "/api/"),
)


@dataclass(frozen=True)
class Exchange:
    """One request and what became of it."""

    method: str
    route: str
    status: int
    refusal: str
    """The error code of a refusal, "" otherwise."""


@dataclass
class Trace:
    """All that was asked so far, and the proxy's address."""

    url: str
    exchanges: list[Exchange] = field(default_factory=list)


def route_of(path: str) -> str:
    """The route of *path*: what varies (ids, artifact paths, tag keys) is a name in braces."""
    for pattern, template in _TEMPLATES:
        path = pattern.sub(template, path)
    return path


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def recording(target: str) -> Iterator[Trace]:
    """Serve in front of *target* while the block runs."""
    port = free_port()
    trace = Trace(f"http://127.0.0.1:{port}")
    loop = asyncio.new_event_loop()
    stopped, ready = asyncio.Event(), threading.Event()
    thread = threading.Thread(
        target=lambda: loop.run_until_complete(_serve(trace, target, port, ready, stopped)),
        name="recording-proxy",
        daemon=True,
    )
    thread.start()
    assert ready.wait(10)
    yield trace
    loop.call_soon_threadsafe(stopped.set)
    thread.join(10)
    loop.close()


async def _serve(
    trace: Trace, target: str, port: int, ready: threading.Event, stopped: asyncio.Event
) -> None:
    connector = TCPConnector(limit=0)
    timeout = ClientTimeout(total=None)
    async with ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:

        async def handle(request: web.Request) -> web.StreamResponse:
            return await _pass_on(trace, session, target, request)

        app = web.Application(client_max_size=1 << 34)
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        ready.set()
        await stopped.wait()
        await runner.cleanup()


async def _pass_on(
    trace: Trace, session: ClientSession, target: str, request: web.Request
) -> web.StreamResponse:
    headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
    body = request.content if request.body_exists else None
    url = URL(target + request.raw_path, encoded=True)
    async with session.request(
        request.method, url, headers=headers, data=body, allow_redirects=False
    ) as answer:
        sent = web.StreamResponse(status=answer.status, reason=answer.reason)
        for name, value in answer.headers.items():
            if name.lower() not in HOP_BY_HOP:
                sent.headers.add(name, value)
        refused = b""
        await sent.prepare(request)
        async for part in answer.content.iter_chunked(1 << 16):
            if answer.status >= 400:
                refused += part
            if request.method != hdrs.METH_HEAD:
                await sent.write(part)
        found = re.search(rb'"error_code":\s*"(\w+)"', refused)
        refusal = found[1].decode() if found else ""
        trace.exchanges.append(Exchange(request.method, route_of(request.path), answer.status, refusal))
        await sent.write_eof()
        return sent
