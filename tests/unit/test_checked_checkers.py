"""The checker is checked: with a safeguard switched off in a mutant, the tests that stand for it fail.

Those of the checksum and of second definitions stand in ``test_spool_damage``, that of the allocation, which
takes a full disk, in ``tests/acceptance/test_spool_faults``.
"""

import fcntl

import pytest

from runstone.events.types import Tag
from runstone.sender.adoption import Session
from runstone.sender.lease import Lease
from runstone.spool.layout import this_machine
from runstone_ingest.marks import Mark
from tests.handmade_spool import HandmadeSession
from tests.unit.test_ingest_marks import test_what_fills_a_gap_is_applied_and_the_rest_stays_missing as trims


def check_lock(root) -> None:
    """A session is gone when its process is, and not before; a second sender goes away."""
    written = HandmadeSession(this_machine(root), "http://127.0.0.1:5000")
    written.event("a" * 32, Tag("k", "v", 1))
    session = Session(written.folder, written.uri)
    session.look()
    assert session.alive
    first, second = Lease(written.machine), Lease(written.machine)
    assert first.acquire()
    assert not second.acquire()
    first.release()
    written.die()
    session.look()
    assert not session.alive
    session.close()


def test_a_process_lives_as_long_as_it_holds_its_lock(tmp_path):
    check_lock(tmp_path)


def test_without_locks_that_test_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    with pytest.raises(AssertionError):
        check_lock(tmp_path)


def test_without_trimming_the_test_of_the_marks_fails(monkeypatch):
    trims()
    monkeypatch.setattr(Mark, "claim", lambda _self, low, end: [(low, end)])
    with pytest.raises(AssertionError):
        trims()
