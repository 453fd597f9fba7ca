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
    return {"session": session, "first_seq": 0, "last_seq": last, "missing": list(missing), "declared": []}


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


def test_what_was_declared_lost_is_not_waited_for_and_never_there(server):
    lost = {"first_seq": 2, "count": 3, "kind": "dropped", "reason": "the spool had no room"}
    server.answer = run_with(said("s", 9, [[2, 4]]) | {"declared": [lost]})
    before = time.monotonic()
    assert wait_until_queryable(server.uri, "a" * 32, {"s": 5}, before + 60) is False
    assert wait_until_queryable(server.uri, "a" * 32, {"s": 1}, before + 60) is True
    assert time.monotonic() - before < 30
    server.answer = run_with(said("s", 9, [[2, 5]]) | {"declared": [lost]})
    threading.Timer(0.1, lambda: setattr(server, "answer", run_with(said("s", 9)))).start()
    assert wait_until_queryable(server.uri, "a" * 32, {"s": 5}, time.monotonic() + 30)


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


def reject(folder: SessionFolder, upload: str, **told: Any) -> None:
    folder.upload_json(upload).unlink()
    folder.upload_rejected(upload).write_text(json.dumps(told))


def test_a_rejected_artifact_is_told_once_and_makes_flush_false_without_waiting_for_it(
    client, tmp_path, monkeypatch, capsys
):
    client.log_text("x", "a/b")
    folder = of_session(tmp_path)
    acknowledge(folder, 99, 0)
    monkeypatch.setattr(client._opened().launcher, "nobody", lambda: False)
    [order] = folder.uploads.glob("*.json")
    reject(
        folder, order.stem, path="a/b", reason="a/b is a file\nand a folder", kept="/spool/rejected/x.data"
    )
    capsys.readouterr()
    before = time.monotonic()
    assert client.flush(60) is False
    assert client.flush(60) is False
    assert client.active_run().wait_until_queryable(60) is False
    assert time.monotonic() - before < 30
    assert capsys.readouterr().err == (
        "runstone: warning: artifact 'a/b' was rejected and will not be stored: a/b is a file and a folder; "
        "its content is kept in /spool/rejected/x.data\n"
    )


def test_flush_waits_for_the_rest_when_an_artifact_was_rejected(client, tmp_path, monkeypatch):
    client.log_text("x", "a/b")
    folder = of_session(tmp_path)
    monkeypatch.setattr(client._opened().launcher, "nobody", lambda: False)
    [order] = folder.uploads.glob("*.json")
    reject(folder, order.stem, path="a/b", reason="no", kept=None)
    arriving = threading.Timer(0.2, acknowledge, (folder, 99, 0))
    arriving.start()
    assert client.flush(60) is False
    assert folder.ack.exists()
    arriving.join()


def test_another_runs_rejected_artifact_is_not_missed_by_this_one(client, tmp_path, server):
    with client.start_run() as first:
        first.log_text("x", "a/b")
    folder = of_session(tmp_path)
    acknowledge(folder, 99, 0)
    server.answer = run_with(said(folder.session, 10**9))
    [order] = folder.uploads.glob("*.json")
    reject(folder, order.stem, path="a/b", reason="no", kept=None)
    second = client.start_run()
    assert second.wait_until_queryable(0) is True
    assert first.wait_until_queryable(0) is False


def test_a_rejected_artifact_is_told_while_the_training_logs_on(client, tmp_path, capsys):
    run = client.start_run()
    run.log_text("x", "a/b")
    run.log_text("y", "c")
    folder = of_session(tmp_path)
    [rejected, _other] = sorted(folder.uploads.glob("*.json"))
    reject(folder, rejected.stem, path="a/b", reason="no", kept=None)
    deadline = time.monotonic() + 30
    err = ""
    while "was rejected" not in err:
        assert time.monotonic() < deadline
        run.log_metric("k", 1)
        time.sleep(0.01)
        err += capsys.readouterr().err
    assert "artifact 'a/b' was rejected and will not be stored: no; its content is gone" in err


def test_of_many_rejected_artifacts_the_first_are_told(client, tmp_path, capsys):
    for i in range(9):
        client.log_text("x", f"a/{i}")
    folder = of_session(tmp_path)
    for order in folder.uploads.glob("*.json"):
        reject(folder, order.stem, path="a", reason="no", kept=None)
    client._opened().finish()
    err = capsys.readouterr().err
    assert err.count("artifact 'a' was rejected") == 5
    assert err.count(f"more artifacts were rejected; {folder.uploads}/*.rejected say which") == 1


def test_a_rejected_artifact_is_told_at_exit(client, tmp_path, capsys):
    client.log_text("x", "a/b")
    folder = of_session(tmp_path)
    [order] = folder.uploads.glob("*.json")
    folder.upload_json(order.stem).unlink()
    folder.upload_rejected(order.stem).write_text("[]")
    client._opened().finish()
    assert f"an artifact was rejected and will not be stored; see {folder.uploads}" in capsys.readouterr().err
