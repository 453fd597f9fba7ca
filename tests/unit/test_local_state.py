"""What is written down about a data folder: what runs, on which ports, and who holds it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runstone_local import process_identity, state
from runstone_local.exceptions import CannotStartError
from runstone_local.folder_lock import FolderLock
from runstone_local.ports import RememberedPorts
from runstone_local.spool_size import spool_bytes
from runstone_local.state import PartState, State


def test_a_state_is_read_as_it_was_written_and_only_by_its_owner(tmp_path: Path) -> None:
    parts = state.with_part((), PartState("worker", None, 12, "34"))
    parts = state.with_part(parts, PartState("kafka", "127.0.0.1:9092", 11, "33"))
    parts = state.with_part(parts, PartState("worker", None, 13, "35"))
    written = State(10, "32", "http://127.0.0.1:5000", parts)
    state.write(tmp_path / "state.json", written)
    assert state.read(tmp_path / "state.json") == written
    assert [part.name for part in written.parts] == ["kafka", "worker"]
    assert (tmp_path / "state.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"parts": 3}'])
def test_a_state_that_cannot_be_read_is_no_state(tmp_path: Path, content: str) -> None:
    assert state.read(tmp_path / "missing") is None
    (tmp_path / "state.json").write_text(content)
    assert state.read(tmp_path / "state.json") is None


def test_a_port_is_remembered_and_given_up_only_to_another_program(tmp_path: Path) -> None:
    first = RememberedPorts(tmp_path / "ports.json").port("kafka")
    assert RememberedPorts(tmp_path / "ports.json").port("kafka", preferred=1) == first
    with socket.socket() as other:
        other.bind(("127.0.0.1", first))
        other.listen()
        moved = RememberedPorts(tmp_path / "ports.json").port("kafka")
    assert moved != first
    assert RememberedPorts(tmp_path / "ports.json").remembered("kafka") == moved


def test_no_two_parts_get_the_same_port(tmp_path: Path) -> None:
    ports = RememberedPorts(tmp_path / "ports.json")
    first = ports.port("kafka")
    assert ports.port("postgres", preferred=first) != first


def test_a_folder_in_use_says_by_whom(tmp_path: Path) -> None:
    with (
        FolderLock(tmp_path / "lock", "http://127.0.0.1:5000"),
        pytest.raises(CannotStartError, match=f"in use by process {os.getpid()} .*http://127.0.0.1:5000"),
    ):
        FolderLock(tmp_path / "lock", "http://127.0.0.1:6000")
    FolderLock(tmp_path / "lock", "http://127.0.0.1:6000").release()


def test_a_pid_is_the_same_process_only_while_that_one_lives() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        start = process_identity.started(other.pid)
        assert start is not None
        assert process_identity.is_same(other.pid, start)
        assert not process_identity.is_same(other.pid, start + "0")
        other.communicate(b"\n")
    assert not process_identity.is_same(other.pid, start)


def test_segments_and_uploads_of_every_session_count_as_waiting(tmp_path: Path) -> None:
    assert spool_bytes(tmp_path / "missing") == 0
    for session in ("a", "b"):
        folder = tmp_path / "machine-boot" / "sessions" / session
        (folder / "uploads").mkdir(parents=True)
        (folder / "00000001.seg").write_bytes(bytes(1000))
        (folder / "uploads" / "u.data").write_bytes(bytes(10))
        (folder / "ack").write_bytes(bytes(16))
    assert spool_bytes(tmp_path) == 2020
