"""Folders that never became sessions go, all others stay."""

import fcntl
import os
import time

import pytest

from runstone.sender.discovery import Discovery
from runstone.spool.allocation import create_segment
from runstone.spool.layout import MachineFolder, boot_id

SESSION = "5e" * 16


@pytest.fixture
def machine(tmp_path):
    folder = MachineFolder(tmp_path / f"machine-{boot_id()}")
    folder.make()
    return folder


def half_made(machine, *, locked: bool):
    """What a process leaves that is killed just before it writes ``session.json``; the lock's descriptor."""
    folder = machine.session(SESSION)
    folder.path.mkdir()
    folder.uploads.mkdir()
    lock = os.open(folder.lock, os.O_RDWR | os.O_CREAT)
    create_segment(folder, 1, 1 << 20, "http://127.0.0.1:9", mapped=False).close()
    if locked:
        fcntl.flock(lock, fcntl.LOCK_EX)
    return folder, lock


@pytest.mark.parametrize(
    ("hours", "locked", "record", "stays"),
    [
        (0, False, b"", True),
        (2, False, b"", False),
        (2, True, b"", True),
        (2, False, b"\1", True),
    ],
)
def test_a_folder_goes_that_never_became_a_session_and_is_nobodys(machine, hours, locked, record, stays):
    folder, lock = half_made(machine, locked=locked)
    try:
        with folder.segment(1).open("r+b") as segment:
            segment.seek(4096)
            segment.write(record)
        then = time.time() - hours * 3600 - 60
        os.utime(folder.path, (then, then))
        found = [session.close() for session in Discovery([machine], kin=False).found(lambda _bound: 1)]
        assert len(found) == bool(record and not locked), "what holds a record is a session all the same"
        assert folder.path.exists() == stays
        assert stays or not os.listdir(machine.sessions)
    finally:
        os.close(lock)


def test_what_an_earlier_boot_left_half_made_goes_at_once(tmp_path, machine):
    earlier = MachineFolder(tmp_path / f"machine-{'0' * 32}")
    earlier.make()
    folder, lock = half_made(earlier, locked=False)
    os.close(lock)
    discovery = Discovery([machine])
    assert list(discovery.found(lambda _bound: 1)) == []
    discovery.close()
    assert not folder.path.exists()
