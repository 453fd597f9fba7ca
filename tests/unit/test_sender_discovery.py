"""Which sessions are adopted when."""

import os
import sys
import time

import pytest

from runstone.events.types import Tag
from runstone.sender.discovery import GRACE, Discovery
from runstone.spool.layout import MachineFolder
from tests import without_privileges
from tests.handmade_spool import HandmadeSession

URI = "http://127.0.0.1:5000"


@pytest.fixture
def machine(tmp_path):
    return MachineFolder(tmp_path / "machine-boot")


def taken(discovery, most):
    """At most so many of dead processes, bound for the same place."""
    left = [most]

    def room(_bound):
        left[0] -= 1
        return left[0] + 1

    return list(discovery.found(room))


def test_of_many_dead_sessions_some_are_adopted_at_a_time_and_living_ones_always(machine):
    dead = sorted((HandmadeSession(machine, URI) for _ in range(5)), key=lambda session: session.id)
    for session in dead:
        session.die()
    lives = [HandmadeSession(machine, URI) for _ in range(3)]
    discovery = Discovery([machine])
    first = taken(discovery, 2)
    assert {s.id for s in first} == {s.id for s in (*lives, *dead[:2])}, "the oldest come first"
    assert discovery.waiting == 3
    assert list(discovery.found(lambda _bound: 0)) == []
    second = taken(discovery, 2)
    assert [s.id for s in second] == [s.id for s in dead[2:4]]
    assert discovery.waiting == 1
    for session in (*first, *second):
        session.close()
    for session in lives:
        session.die()


def test_what_is_over_rests_before_it_is_removed_unless_there_is_no_room(machine):
    sessions = [HandmadeSession(machine, URI) for _ in range(3)]
    for session in sessions:
        session.event("a" * 32, Tag("k", "v", 1))
        session.die()
    long_ago = time.time() - 2 * GRACE
    os.utime(sessions[0].folder.json, (long_ago, long_ago))
    discovery = Discovery([machine])
    for session in discovery.found(lambda _bound: 3):
        session.close()
        discovery.over(session)
    (gone,) = discovery.begin_removal()
    assert gone.name == f".gone-{sessions[0].id}"
    assert list(discovery.found(lambda _bound: 3)) == [], (
        "what rests is not adopted again, nor what is being deleted"
    )
    assert len(discovery.begin_removal(at_once=True)) == 2
    assert not any(session.folder.path.exists() for session in sessions)


LOOK = """
import sys
from pathlib import Path
from runstone.sender.discovery import Discovery
from runstone.spool.layout import MachineFolder
discovery = Discovery([MachineFolder(Path(sys.argv[1]))], kin=False)
print([session.id for session in discovery.found(lambda bound: 9)], discovery.unusable)
"""


@pytest.mark.parametrize("closed", ["the whole folder", "a file that tells what was sent"])
def test_a_session_that_may_not_be_read_holds_up_no_other(machine, closed):
    good, bad = (HandmadeSession(machine, URI) for _ in range(2))
    for session in (good, bad):
        session.die()
    path = bad.folder.path if closed == "the whole folder" else bad.folder.ack
    bad.folder.ack.touch()
    path.chmod(0)
    said = without_privileges.run(sys.executable, "-c", LOOK, machine.path)
    path.chmod(0o700)
    assert said.stdout.startswith(f"['{good.id}'] {{'{bad.id}': \"it cannot be read"), said.stderr
