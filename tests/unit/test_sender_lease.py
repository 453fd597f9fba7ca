"""One sender per spool folder."""

import threading
import time

import orjson
import pytest

from runstone.sender.lease import Lease
from runstone.spool.layout import MachineFolder


@pytest.fixture
def folder(tmp_path):
    found = MachineFolder(tmp_path / "m-b")
    found.make()
    return found


def test_a_second_sender_gives_up_while_the_first_one_runs(folder):
    first, second = Lease(folder), Lease(folder)
    assert first.acquire()
    assert orjson.loads(folder.sender_json.read_bytes())["state"] == "running"
    assert not second.acquire()
    first.release()
    assert second.acquire()
    second.release()


def test_a_second_sender_waits_for_one_that_is_leaving(folder):
    first, second = Lease(folder), Lease(folder)
    assert first.acquire()
    first.say("leaving")
    got = []
    waiting = threading.Thread(target=lambda: got.append(second.acquire()))
    began = time.monotonic()
    waiting.start()
    waiting.join(1.0)
    assert waiting.is_alive(), "it gave up on a sender that was leaving"
    first.release()
    waiting.join(5)
    assert got == [True]
    assert time.monotonic() - began < 6
    second.release()


def test_a_lock_without_a_running_sender_is_a_client_that_looks(folder):
    folder.sender_json.write_bytes(b'{"state":"running","pid":1}')  # left by one that was killed
    client, sender = Lease(folder), Lease(folder)
    client._lock.acquire()
    release = threading.Timer(0.1, client.release)
    release.start()
    assert sender.acquire()
    release.join()
    sender.release()
