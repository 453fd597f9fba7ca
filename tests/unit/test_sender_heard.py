"""When and what a sender tells its gateways of the sessions in its care."""

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest

from runstone.sender import heard
from runstone.sender.heard import Heartbeats
from runstone.sender.tail import Position
from runstone.spool.segment import HEADER_SIZE

A, B, C = "aa" * 16, "bb" * 16, "cc" * 16


class Link:
    """As much of a link as is needed; told apart by identity."""

    connect = SimpleNamespace(installation_id="installation")


class Gateway:
    """Takes heartbeats, or answers something else."""

    def __init__(self) -> None:
        told = self.told = []
        gateway = self
        self.status = 202

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                told.append((self.path, self.headers["Runstone-Installation"], body["sessions"]))
                self.send_response(gateway.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self.server.server_port}/prefix"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def gateway():
    made = Gateway()
    yield made
    made.close()


def session(uri, name, link, *, ended=False, at=HEADER_SIZE + 8):
    return SimpleNamespace(id=name, uri=uri, link=link, ended=ended, acknowledged=Position(1, at))


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # what is waited for is another thread's
            await asyncio.sleep(0.01)


async def test_each_delivered_session_is_told_soon_and_again_and_a_failure_is_repeated(gateway, monkeypatch):
    monkeypatch.setattr(heard, "_LOOK", 0.01)
    monkeypatch.setattr(heard, "AGAIN_LEAST", 0.2)
    link = Link()
    sessions = {
        A: session(gateway.uri, A, link),
        "new": session(gateway.uri, "new", link, at=HEADER_SIZE),
        "ended": session(gateway.uri, "ended", link, ended=True),
        "nowhere": session(gateway.uri, "nowhere", None),
    }
    with ThreadPoolExecutor(1) as executor:
        task = asyncio.create_task(Heartbeats(sessions, executor).run())
        try:
            await until(lambda: gateway.told)
            sessions[B] = session(gateway.uri, B, link)
            await until(lambda: len(gateway.told) == 2)
            gateway.status = 503
            sessions[C] = session(gateway.uri, C, link)
            await until(lambda: len(gateway.told) == 4)
            gateway.status = 202
            await until(lambda: len(gateway.told) == 5)
            monkeypatch.setattr(heard, "EVERY", 0.05)
            await until(lambda: len(gateway.told) == 6)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    named = [sessions for _path, _installation, sessions in gateway.told]
    assert named[:6] == [[A], [A, B], [A, B, C], [A, B, C], [A, B, C], [A, B, C]]
    assert {(path, installation) for path, installation, _sessions in gateway.told} == {
        ("/prefix/api/v1/heard", "installation")
    }
