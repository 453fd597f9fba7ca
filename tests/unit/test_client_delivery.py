"""``flush`` and ``wait_until_queryable`` tell the truth about what sender and server have said."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

import runstone
from runstone.queryable import wait_until_queryable
from runstone.spool.layout import ACK, SessionFolder
from tests.spool_contents import session_folders


class Server:
    """Answers every GET with the JSON (or the status) that `answer` holds."""

    def __init__(self) -> None:
        self.answer: Any = 404
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                status = server.answer if isinstance(server.answer, int) else 200
                body = b"no JSON" if status != 200 else json.dumps(server.answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self.http.server_address[1]}/base"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.thread.join()
    made.http.server_close()


@pytest.fixture
def client(server, tmp_path, monkeypatch) -> Iterator[runstone.Client]:
    monkeypatch.setenv("RUNSTONE_OFFLINE", "1")
    monkeypatch.delenv("RUNSTONE_RUN_ID", raising=False)
    made = runstone.Client(server.uri, spool=tmp_path)
    yield made
    made.end_run()


def run_with(*sessions: dict[str, Any]) -> dict[str, Any]:
    return {"run_id": "a" * 32, "completeness": {"sessions": list(sessions)}}


def said(session: str, last: int, missing: Any = ()) -> dict[str, Any]:
    return {"session": session, "first_seq": 0, "last_seq": last, "missing": list(missing)}


def soon() -> float:
    return time.monotonic() + 0.05


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (run_with(said("s", 5)), True),
        (run_with(said("s", 9), said("other", 0)), True),
        (run_with(said("s", 9, [[6, 7]])), True),
        (run_with(said("s", 4)), False),
        (run_with(said("s", 9, [[5, 5]])), False),
        (run_with(said("other", 9)), False),
        ({"something": "else"}, False),
        ([], False),
        (404, False),
        (500, False),
    ],
)
def test_a_run_can_be_queried_when_its_session_has_arrived_without_a_hole(server, answer, expected):
    server.answer = answer
    assert wait_until_queryable(server.uri, "a" * 32, {"s": 5}, soon()) is expected
    assert server.asked[0] == f"/base/api/v1/runs/{'a' * 32}"


def test_an_absent_server_is_no_error(server):
    assert wait_until_queryable("http://127.0.0.1:9", "a" * 32, {}, soon()) is False


def test_waiting_ends_when_the_server_has_caught_up(server):
    threading.Timer(0.1, lambda: setattr(server, "answer", run_with(said("s", 5)))).start()
    assert wait_until_queryable(server.uri, "a" * 32, {"s": 5}, time.monotonic() + 30)


def acknowledge(folder: SessionFolder, segment: int, position: int) -> None:
    body = ACK.pack(0, segment, position)[4:]
    folder.ack.write_bytes(crc32(body).to_bytes(4, "little") + body)


def of_session(root: Path) -> SessionFolder:
    return SessionFolder(session_folders(root)[0])


def test_flush_is_true_once_the_acknowledgement_has_passed_what_was_logged(client, tmp_path):
    client.log_metric("k", 1)
    runstone.lifetime.slow_facts.finish(30)
    assert client.flush(0) is False
    folder = of_session(tmp_path)
    acknowledge(folder, 1, 4096)
    assert client.flush(0) is False
    acknowledge(folder, 2, 4096)
    assert client.flush(0) is True
    folder.ack.write_bytes(bytes(3) + folder.ack.read_bytes()[3:])
    assert client.flush(0) is False


def test_flush_waits_for_uploads_too_and_a_run_for_their_pointers(client, tmp_path, server):
    run = client.start_run()
    run.log_text("x", "a.txt")
    folder = of_session(tmp_path)
    acknowledge(folder, 99, 0)
    assert client.flush(0) is False
    [order] = folder.uploads.glob("*.json")
    folder.upload_done(order.stem).write_text(json.dumps({"session": "sender", "seq": 7}))
    assert client.flush(0) is True
    server.answer = run_with(said(folder.session, 10**9))
    assert run.wait_until_queryable(0) is False
    server.answer = run_with(said(folder.session, 10**9), said("sender", 7))
    assert run.wait_until_queryable(0) is True
