"""What the environment says is read once, checked, and refused where it makes no sense."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

import runstone
from runstone import notices
from runstone.addresses import without_credentials
from runstone.configuration import SPOOL_LIMIT, check_tracking_uri, read_configuration
from runstone.events.types import Param
from runstone.exceptions import InvalidInputError
from runstone.sender.discovery import uri_of
from runstone.spool.file_systems import file_system_of
from runstone.spool.inspection import inspect
from runstone.spool.layout import (
    SHORT,
    MachineFolder,
    avoided_state_folder,
    machine_id,
    spool_root,
    this_machine,
)
from runstone.spool.session import Session
from runstone.spool.usage import Usage
from tests.handmade_spool import HandmadeSession


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in (
        "TRACKING_URI",
        "EXPERIMENT",
        "RUN_ID",
        "DISABLED",
        "OFFLINE",
        "QUIET",
        "STRICT",
        "SPOOL",
        "SPOOL_LIMIT",
        "EXIT_TIMEOUT",
    ):
        monkeypatch.delenv(f"RUNSTONE_{name}", raising=False)
    for name in ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)  # fmt: skip


def test_without_any_variable_the_defaults_hold():
    found = read_configuration()
    assert found.tracking_uri == "http://127.0.0.1:5000"
    assert (found.experiment, found.run_id, found.rank) == ("", "", -1)
    assert not any((found.disabled, found.offline, found.quiet, found.strict))
    assert found.spool_limit == SPOOL_LIMIT


def test_arguments_come_before_variables(monkeypatch, tmp_path):
    monkeypatch.setenv("RUNSTONE_TRACKING_URI", "https://env.example")
    monkeypatch.setenv("RUNSTONE_SPOOL", "/env")
    assert read_configuration().tracking_uri == "https://env.example"
    found = read_configuration("http://argument.example:81/base/", tmp_path)
    assert (found.tracking_uri, found.spool) == ("http://argument.example:81/base", tmp_path)


@pytest.mark.parametrize("uri", ["", "localhost:5000", "ftp://h", "http://", "http://h:x", "http://h:99999",
                                 "http://h/?q=1", "http://h h", "http://h?", "http://h#", "http://h\\x", "file:///tmp", "http://" + "h" * 2000, 5])  # fmt: skip
def test_a_tracking_uri_that_is_no_url_raises_at_once(uri):
    with pytest.raises(InvalidInputError, match="the tracking URI"):
        check_tracking_uri(uri)
    with pytest.raises(InvalidInputError, match="the tracking URI"):
        runstone.Client(tracking_uri=uri)


@pytest.mark.parametrize(
    ("said", "bytes_"), [("1000", 1000), ("20M", 20 << 20), ("2 GiB", 2 << 30), ("1kb", 1024)]
)
def test_the_spool_limit_may_carry_a_unit(monkeypatch, said, bytes_):
    monkeypatch.setenv("RUNSTONE_SPOOL_LIMIT", said)
    assert read_configuration().spool_limit == bytes_


@pytest.mark.parametrize(("name", "value"), [("SPOOL_LIMIT", "much"), ("OFFLINE", "maybe"), ("STRICT", "2")])
def test_a_variable_that_makes_no_sense_is_named(monkeypatch, name, value):
    monkeypatch.setenv(f"RUNSTONE_{name}", value)
    with pytest.raises(InvalidInputError, match=f"RUNSTONE_{name}"):
        read_configuration()


@pytest.mark.parametrize("spool", [7, "", b"spool"])
def test_a_spool_that_is_no_path_is_refused(spool):
    with pytest.raises(InvalidInputError, match="spool"):
        read_configuration(spool=spool)


def test_a_relative_spool_is_refused_where_the_current_folder_is_gone(monkeypatch, tmp_path):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.setenv("RUNSTONE_SPOOL", "spool")
    with pytest.raises(InvalidInputError, match="RUNSTONE_SPOOL"):
        read_configuration()


def test_a_rank_that_is_none_is_no_rank(monkeypatch):
    monkeypatch.setenv("RANK", "9" * 30)
    assert read_configuration().rank == -1


def test_the_rank_is_that_of_the_job_rather_than_that_of_the_machine(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert read_configuration().rank == 0
    monkeypatch.setenv("RANK", "12")
    assert read_configuration().rank == 12


def test_the_spool_lies_in_the_state_folder_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert spool_root() == tmp_path / "state/runstone/spool"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert spool_root() == tmp_path / "home/.local/state/runstone/spool"
    monkeypatch.setenv("RUNSTONE_SPOOL", "~/spool")
    assert spool_root() == read_configuration(spool="~/spool").spool == tmp_path / "home/spool"


TEMPORARY = Path(f"/var/tmp/runstone-{os.getuid()}/runstone/spool")


def test_a_state_folder_on_a_network_file_system_is_avoided(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(
        "runstone.spool.layout.file_system_of",
        lambda folder: "nfs4" if folder.is_relative_to(tmp_path) else "ext4",
    )
    assert spool_root() == TEMPORARY
    assert avoided_state_folder() == (tmp_path, "is on a network file system")
    monkeypatch.setenv("RUNSTONE_SPOOL", "/chosen")
    assert spool_root() == Path("/chosen")


def test_without_a_home_the_spool_lies_in_a_temporary_folder_of_the_users_own(monkeypatch):
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "no/place")
    assert spool_root() == TEMPORARY


def test_a_state_folder_that_takes_nothing_is_avoided(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert spool_root() == TEMPORARY
    assert avoided_state_folder() == (tmp_path / "file", "cannot be written")


def test_a_state_folder_on_a_full_disk_is_avoided_and_where_all_are_full_it_is_used(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    real, full = os.statvfs, [tmp_path]

    def statvfs(place):
        found = real(place)
        is_full = any(Path(place).is_relative_to(each) for each in full)
        return SimpleNamespace(f_bavail=0 if is_full else found.f_bavail, f_frsize=found.f_frsize)

    monkeypatch.setattr("runstone.spool.layout.os.statvfs", statvfs)
    assert spool_root() == TEMPORARY
    assert avoided_state_folder() == (tmp_path, "is on a full disk")
    full.append(Path("/"))
    assert spool_root() == tmp_path / "runstone/spool"


def test_the_file_system_is_that_of_the_nearest_folder_that_exists(tmp_path):
    assert file_system_of(Path("/proc/none/such")) == "proc"
    assert file_system_of(tmp_path / "a" / "b") == file_system_of(tmp_path) != ""


def test_whoever_comes_first_makes_the_machines_folder(tmp_path):
    machine = this_machine(tmp_path / "spool")
    machine.make()
    machine.make()
    assert machine.format.read_text() == "1"
    assert machine.asleep.read_bytes() == bytes(8)
    assert machine.wake.is_fifo()
    assert machine.path.stat().st_mode & 0o777 == 0o700


def test_a_spool_of_another_format_is_left_alone(tmp_path):
    machine = this_machine(tmp_path)
    machine.make()
    machine.format.write_text("2")
    with pytest.raises(ValueError, match="format 2"):
        machine.make()


@pytest.mark.parametrize("kind", ["nfs4", "ext4"])
def test_a_named_spool_on_a_network_file_system_is_used_and_warned_about_once(
    monkeypatch, tmp_path, capsys, kind
):
    monkeypatch.setattr("runstone.spool.session.file_system_of", lambda _folder: kind)
    monkeypatch.setattr("runstone.notices._said", set())
    for destination in ("http://127.0.0.1:1", "http://127.0.0.1:2"):
        session = Session(tmp_path / "spool", destination, limit=2**30, offline=True)
        session.writer.event(session.writer.stream("a" * 32), Param("k", "v", 1))
        assert session.folder is not None
    said = capsys.readouterr().err
    assert said.count("network file system (nfs4)") == (kind == "nfs4")
    assert ("RUNSTONE_SPOOL" in said) == (kind == "nfs4")


def test_a_password_in_the_tracking_uri_is_neither_kept_nor_shown(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(notices, "_said", set())
    monkeypatch.setenv("RUNSTONE_OFFLINE", "1")
    run = runstone.Client("https://me:se%20cret@host:5000/p/", spool=tmp_path).start_run()
    run.end()
    said = capsys.readouterr().err
    assert "are left out" in said
    assert f"https://host:5000/p/api/v1/runs/{run.run_id}" in said
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert ("cret" in said, b"cret" in kept) == (False, False)


def test_a_password_in_what_is_no_address_is_not_shown():
    with pytest.raises(InvalidInputError, match="'http://host:5000' is no") as refused:
        runstone.Client("http://me:se/cr@et@host:5000")
    assert "cr" not in str(refused.value).partition(" is no ")[0]


def test_a_password_that_is_in_a_spool_is_not_shown(tmp_path):
    session = HandmadeSession(MachineFolder(tmp_path / "machine-boot"), "http://me:secret@host:5000")
    session.die()
    assert uri_of(session.folder) == "http://host:5000"
    session.folder.json.unlink()
    assert uri_of(session.folder) == "http://host:5000"
    assert [s.uri for s in inspect(session.folder.path, whole=True).sessions] == ["http://host:5000"]
    assert without_credentials("me:secret@host") == "host"
    assert without_credentials("http://host/p@th") == "http://host/p@th"


def test_the_limit_of_the_spool_counts_what_earlier_boots_left(tmp_path):
    earlier = MachineFolder(tmp_path / f"{machine_id()}-earlier")
    left = earlier.session("ab" * 16)
    left.path.mkdir(parents=True)
    left.segment(1).write_bytes(bytes(3 << 20))
    session = Session(tmp_path, "http://127.0.0.1:1", limit=2 << 20, offline=True)
    stream = session.writer.stream("a" * 32)
    session.writer.point(stream, "k", 1.0, 1)
    assert stream.refused == 1


def test_the_sender_is_asked_for_room_before_there_is_none(tmp_path):
    def asked(limit):
        session = Session(tmp_path / str(limit), "http://127.0.0.1:1", limit=limit, offline=True)
        stream = session.writer.stream("a" * 32)
        session.writer.point(stream, "k", 1.0, 1)
        assert stream.refused == 0
        return (session.folder.machine.asleep.read_bytes()[SHORT], session.writer.dead)

    assert asked(1 << 30) == (0, False)
    assert asked(100_000) == (1, False)


def test_a_spool_with_thousands_of_segments_is_counted_seldom(tmp_path, monkeypatch):
    machine = this_machine(tmp_path)
    left = machine.session("ab" * 16)
    left.path.mkdir(parents=True)
    left.segment(1).write_bytes(bytes(8192))
    clock = iter([0.0, 1.0, 30.0, 51.5, 51.5, 100.0])
    monkeypatch.setattr("runstone.spool.usage.time.monotonic", lambda: next(clock))
    usage = Usage(machine)
    assert usage.count() == 8192
    left.segment(2).write_bytes(bytes(8192))
    usage.added(4096)
    assert usage.count() == 12288, "the count took a second, so it holds for 50"
    assert usage.count() == 16384
