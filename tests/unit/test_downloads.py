"""Files come back whole and checked, whatever the server and the way to it do; nothing leaves the folder."""

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from runstone import downloads
from runstone.exceptions import InvalidInputError, NoSuchArtifactError, ServerError

RUN = "0190f5d8e4b07c3a9b1d2e3f4a5b6c7d"


class Store:
    """A read API that has files, and faults.

    Attributes:
        files: path to content. sent: path to what is sent instead. cut: bytes after which an answer ends.
        ranges: whether it knows them. asked: (path, Range) of every file asked for.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.sent: dict[str, bytes] = {}
        self.cut = 1 << 60
        self.ranges = True
        self.asked: list[tuple[str, str]] = []
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def version_string(self):
                return "runstone/0"

            def do_GET(self):
                parts = urlsplit(self.path)
                path = parse_qs(parts.query).get("path", [""])[0]
                if not parts.path.endswith("/content"):
                    self.answer(200, json.dumps({"artifacts": store.listing(path)}).encode())
                    return
                wanted = self.headers.get("Range", "")
                store.asked.append((path, wanted))
                if path not in store.files:
                    self.answer(410, b'{"detail": "the file is gone"}')
                    return
                content = store.sent.get(path, store.files[path])
                first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and store.ranges else 0
                self.answer(206 if first else 200, content[first:], store.cut)

            def answer(self, status, content, cut=1 << 60):
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[:cut])
                if cut < len(content):
                    self.wfile.flush()
                    self.connection.shutdown(2)
                    self.close_connection = True

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self.http.server_address[1]}/base"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    def listing(self, path: str) -> list[dict[str, object]]:
        return [
            {
                "path": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest(),
                "content_url": "/", "media_type": "", "time": 1,
            }
            for name, content in self.files.items()
            if not path or name == path or name.startswith(f"{path}/")
        ]  # fmt: skip

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def store(monkeypatch) -> Iterator[Store]:
    monkeypatch.setattr(downloads, "RETRY_S", 0.0)
    made = Store()
    yield made
    made.close()


def fetch(store, folder, path=""):
    downloads.download(store.uri, RUN, downloads.pointers(store.uri, RUN, path), folder)


def lying(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_files_of_a_folder_come_to_their_paths_and_what_is_there_is_not_fetched_again(store, tmp_path):
    store.files = {f"a/{n}": os.urandom(n * 1000) for n in range(20)} | {"b": b"other"}
    wanted = {path: content for path, content in store.files.items() if path != "b"}
    fetch(store, tmp_path, "a")
    assert lying(tmp_path) == wanted
    (tmp_path / "a" / "7").write_bytes(bytes(7000))
    store.asked.clear()
    fetch(store, tmp_path, "a")
    assert lying(tmp_path) == wanted
    assert store.asked == [("a/7", "")]


def test_what_was_cut_off_goes_on_where_it_ended(store, tmp_path):
    store.files = {"big": os.urandom(5_000_000)}
    store.cut = 2_000_000
    fetch(store, tmp_path)
    assert lying(tmp_path) == store.files
    assert store.asked == [("big", ""), ("big", "bytes=2000000-"), ("big", "bytes=4000000-")]


def test_a_server_that_is_away_for_long_leaves_what_came_for_the_next_call(store, tmp_path):
    store.files = {"big": os.urandom(5_000_000)}
    store.cut = 500_000
    with pytest.raises(ServerError, match="goes on where it ended"):
        fetch(store, tmp_path)
    assert not (tmp_path / "big").exists()
    store.cut, store.asked = 1 << 60, []
    fetch(store, tmp_path)
    assert lying(tmp_path) == store.files
    assert store.asked == [("big", "bytes=2000000-")]


@pytest.mark.parametrize("left", [b"something else", bytes(9_000_000)], ids=["other", "longer"])
def test_what_an_earlier_call_left_is_thrown_away_where_it_is_no_part_of_the_file(store, tmp_path, left):
    store.files, store.cut = {"big": os.urandom(5_000_000)}, 100_000
    with pytest.raises(ServerError):
        fetch(store, tmp_path)
    [part] = tmp_path.iterdir()
    part.write_bytes(left)
    store.cut = 1 << 60
    fetch(store, tmp_path)
    assert lying(tmp_path) == store.files


def test_a_way_to_the_server_without_ranges_begins_again(store, tmp_path):
    store.files, store.cut = {"big": os.urandom(5_000_000)}, 2_000_000
    store.ranges = False
    with pytest.raises(ServerError):
        fetch(store, tmp_path)
    store.cut = 1 << 60
    fetch(store, tmp_path)
    assert lying(tmp_path) == store.files


@pytest.mark.parametrize("sent", [b"damage", b"dam", b"damaged, and longer"], ids=["same", "short", "long"])
def test_other_content_than_was_logged_is_never_stored(store, tmp_path, sent):
    store.files, store.sent = {"f": b"logged"}, {"f": sent}
    with pytest.raises(ServerError):
        fetch(store, tmp_path)
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("path", ["../up", "/etc/passwd", "a/../../up", "a\\..\\up", "C:/x", ""])
def test_a_server_cannot_lead_out_of_the_folder(store, tmp_path, path):
    store.files = {path: b"x"}
    with pytest.raises(ServerError, match="cannot be stored here"):
        fetch(store, tmp_path / "folder")
    assert not list(tmp_path.iterdir())


def test_a_path_that_leaves_the_run_is_the_callers_mistake(store):
    with pytest.raises(InvalidInputError, match="stays within the run"):
        downloads.pointers(store.uri, RUN, "../up")


def test_what_is_not_there_is_named(store, tmp_path):
    with pytest.raises(NoSuchArtifactError, match=r"no artifact 'missing' \(yet\)"):
        downloads.pointers(store.uri, RUN, "missing")
    store.files = {"gone": b"x"}
    wanted = downloads.pointers(store.uri, RUN)
    store.files = {}
    with pytest.raises(NoSuchArtifactError, match="the file is gone"):
        downloads.download(store.uri, RUN, wanted, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_in_a_files_place_and_a_file_in_a_folders_are_said_plainly(store, tmp_path):
    store.files = {"a/b": b"x"}
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(InvalidInputError, match="is a file there"):
        fetch(store, tmp_path)
    (tmp_path / "a").unlink()
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(InvalidInputError, match="it is a folder there"):
        fetch(store, tmp_path)


def test_many_who_fetch_into_one_folder_do_not_disturb_one_another(store, tmp_path):
    store.files = {f"{n}": os.urandom(300_000) for n in range(6)} | {"empty": b"", "same": b"s", "also": b"s"}
    store.cut = 200_000
    threads = [threading.Thread(target=fetch, args=(store, tmp_path)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lying(tmp_path) == store.files


def test_a_file_without_a_hash_is_fetched_anew_and_its_length_is_checked(store, tmp_path):
    store.files = {"f": b"logged"}
    pointer = downloads.Pointer("f", 6, "")
    downloads.download(store.uri, RUN, [pointer], tmp_path)
    downloads.download(store.uri, RUN, [pointer], tmp_path)
    assert len(store.asked) == 2
    with pytest.raises(ServerError):
        downloads.download(store.uri, RUN, [downloads.Pointer("f", 7, "")], tmp_path)
    assert lying(tmp_path) == {"f": b"logged"}
