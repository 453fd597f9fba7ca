"""Files on their way into the spool: whatever lies there, training goes on and nothing is lost in silence."""

import os
import socket
import threading
from pathlib import Path

import orjson
import pytest

import runstone
from runstone import notices
from runstone.exceptions import InvalidInputError
from runstone.lost_artifacts import LOST_TAG
from runstone.spool.artifact_room import ArtifactRoom, NoRoomError
from runstone.spool.layout import SessionFolder, this_machine
from tests.spool_contents import events, session_folders, spool_records


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setenv("RUNSTONE_OFFLINE", "1")
    monkeypatch.setenv("RUNSTONE_QUIET", "1")
    monkeypatch.delenv("RUNSTONE_RUN_ID", raising=False)
    monkeypatch.setattr(notices, "_said", set())


@pytest.fixture
def client(tmp_path):
    made = runstone.Client("http://127.0.0.1:1", spool=tmp_path / "spool")
    yield made
    made.end_run()


@pytest.fixture
def source(tmp_path):
    made = tmp_path / "source"
    made.mkdir()
    return made


def ordered(spool: Path) -> dict[str, bytes]:
    """Path and content of every upload."""
    return {
        orjson.loads(order.read_bytes())["path"]: order.with_suffix(".data").read_bytes()
        for session in session_folders(spool)
        for order in sorted((session / "uploads").glob("*.json"))
    }


def lost(spool: Path, run: runstone.Run) -> list[str]:
    """What the tags say that count lost files."""
    found = [record for record in spool_records(spool) if record.stream == run.run_id]
    return [tag["value"] for tag in events(found, run.run_id, "tag") if tag["key"] == LOST_TAG]


def test_what_happens_to_a_file_after_the_call_does_not_matter(client, source, tmp_path):
    for name in ("changed", "deleted", "replaced"):
        (source / name).write_bytes(b"as logged")
    run = client.start_run()
    run.log_artifacts(source)
    with (source / "changed").open("r+b") as file:
        file.write(b"XX")
    (source / "deleted").unlink()
    (source / "other").write_bytes(b"other")
    (source / "other").replace(source / "replaced")
    assert ordered(tmp_path / "spool") == dict.fromkeys(("changed", "deleted", "replaced"), b"as logged")


@pytest.mark.parametrize("size", [0, 1, 4096, (1 << 20) + 1])
def test_a_file_of_another_file_system_is_copied_whole(client, tmp_path, size):
    content = os.urandom(size)
    other = Path("/dev/shm", f"runstone-{os.getpid()}")
    other.write_bytes(content)
    try:
        client.start_run().log_artifact(other)
    finally:
        other.unlink()
    assert ordered(tmp_path / "spool") == {other.name: content}


def test_a_file_that_the_kernel_makes_up_is_copied_whole(client, tmp_path):
    client.start_run().log_artifact("/proc/version")
    assert ordered(tmp_path / "spool") == {"version": Path("/proc/version").read_bytes()}


@pytest.fixture
def odd(source):
    """A file, and beside it whatever is none."""
    (source / "file").write_bytes(b"content")
    (source / "link").symlink_to(source / "file")
    (source / "dangling").symlink_to(source / "nowhere")
    (source / "circle").symlink_to(source / "circle")
    os.mkfifo(source / "pipe")
    (source / "line\nbreak").write_bytes(b"x")
    (source / "folder").mkdir()
    (source / "folder" / "deep").write_bytes(b"deep")
    (source / "linked folder").symlink_to(source / "folder")
    listening = socket.socket(socket.AF_UNIX)
    folder = os.open(source, os.O_RDONLY)
    listening.bind(f"/proc/self/fd/{folder}/socket")
    os.close(folder)
    yield source
    listening.close()


@pytest.mark.parametrize("name", ["dangling", "circle", "pipe", "line\nbreak", "socket", "missing"])
def test_naming_what_can_be_no_artifact_is_a_mistake(client, odd, tmp_path, name):
    run = client.start_run()
    with pytest.raises(InvalidInputError, match="artifact"):
        run.log_artifact(odd / name)
    run.log_metric("goes", 1.0)
    assert ordered(tmp_path / "spool") == {}
    assert not list((tmp_path / "spool").rglob("*.data"))


def test_in_a_folder_what_can_be_no_artifact_is_left_out_told_once_and_counted(client, odd, tmp_path, capsys):
    with client.start_run() as run:
        run.log_artifacts(odd, "all")
    assert ordered(tmp_path / "spool") == {
        "all/file": b"content", "all/folder/deep": b"deep", "all/link": b"content",
    }  # fmt: skip
    assert capsys.readouterr().err.count("was not logged") == 1
    assert lost(tmp_path / "spool", run)[-1].startswith("6 files were not logged")


def test_a_bad_place_for_a_folder_is_a_mistake_also_where_the_folder_is_empty(client, source):
    with pytest.raises(InvalidInputError, match="artifact_path"):
        client.start_run().log_artifacts(source, "../up")


def test_above_its_limit_the_spool_refuses_artifacts_tells_once_counts_them_and_still_takes_points(
    monkeypatch, client, source, tmp_path, capsys
):
    monkeypatch.setenv("RUNSTONE_ARTIFACT_SPOOL_LIMIT", "1M")
    for number in range(30):
        (source / f"{number:02}").write_bytes(bytes(100_000))
    with client.start_run() as run:
        run.log_artifacts(source)
        run.log_text("x" * 2_000_000, "large.txt")
        run.log_metric("still", 1.0)
    assert sorted(ordered(tmp_path / "spool")) == [f"{number:02}" for number in range(9)]
    said = capsys.readouterr().err
    assert said.count("was not logged") == 1
    assert "RUNSTONE_ARTIFACT_SPOOL_LIMIT" in said
    tags = lost(tmp_path / "spool", run)
    assert tags[-1].startswith("22 files were not logged; the last one is 'large.txt': it has 1.91 MiB, ")
    assert len(tags) < 22
    assert not [path for path in (tmp_path / "spool").rglob("*.data") if path.stat().st_size > 100_000]


def test_where_the_store_takes_files_there_is_room_for_more(tmp_path):
    machine = this_machine(tmp_path)
    machine.make()
    uploads = machine.session("a" * 32).uploads
    uploads.mkdir(parents=True)
    room = ArtifactRoom(machine, 1_000_000, 0)
    for number in range(9):
        room.take(100_000)
        (uploads / f"{number}.data").write_bytes(bytes(100_000))
    with pytest.raises(NoRoomError, match="RUNSTONE_ARTIFACT_SPOOL_LIMIT"):
        room.take(100_000)
    (uploads / "0.data").unlink()
    room._looked = float("-inf")
    room.take(100_000)
    (machine.rejected / "0.data").write_bytes(bytes(100_000))
    with pytest.raises(NoRoomError, match="put aside"):
        room.take(100_000)


def test_a_refused_file_is_told_with_its_size_unless_nobody_knows_it(tmp_path):
    machine = this_machine(tmp_path)
    machine.make()
    room = ArtifactRoom(machine, 0, 0)
    with pytest.raises(NoRoomError, match=r"^it has 2 KiB, 0 bytes of artifacts wait"):
        room.take(2048)
    with pytest.raises(NoRoomError, match=r"^it has 2 KiB, 0 bytes of artifacts wait"):
        room.take(24, 2048)
    with pytest.raises(NoRoomError, match=r"^0 bytes of artifacts wait"):
        room.take(None)


def test_what_metrics_may_need_of_the_disk_stays_free(tmp_path):
    machine = this_machine(tmp_path)
    machine.make()
    disk = os.statvfs(tmp_path)
    free, tenth = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize // 10
    room = ArtifactRoom(machine, 1 << 60, 1 << 60)
    with pytest.raises(NoRoomError, match="stay free for metrics"):
        room.take(max(0, free - tenth // 2))
    ArtifactRoom(machine, 1 << 60, 0).take(1000)


def test_a_source_that_cannot_be_read_now_is_counted_and_raises_nothing(
    client, source, tmp_path, monkeypatch
):
    (source / "a").write_bytes(b"a")
    real = os.open

    def failing(path, *arguments, **named):
        if str(path).endswith("source/a"):
            raise OSError(5, "Input/output error")
        return real(path, *arguments, **named)

    run = client.start_run()
    monkeypatch.setattr(os, "open", failing)
    run.log_artifact(source / "a")
    monkeypatch.setattr(os, "open", real)
    assert lost(tmp_path / "spool", run) == [
        "1 file was not logged; the last one is 'a': it cannot be read now ([Errno 5] Input/output error)"
    ]


def test_threads_log_files_side_by_side(client, source, tmp_path):
    for number in range(40):
        (source / str(number)).write_bytes(str(number).encode())
    run = client.start_run()
    threads = [threading.Thread(target=run.log_artifacts, args=(source, f"t{t}")) for t in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ordered(tmp_path / "spool") == {
        f"t{t}/{number}": str(number).encode() for t in range(4) for number in range(40)
    }


def test_what_was_uploaded_leaves_nothing_behind_but_its_last_pointer(client, tmp_path):
    run = client.start_run()
    for number in range(5):
        run.log_text("x", f"{number}.txt")
    [session] = session_folders(tmp_path / "spool")
    folder, uploads = SessionFolder(session), client._opened().uploads
    orders = sorted(order.stem for order in folder.uploads.glob("*.json"))
    for seq, upload in enumerate(orders[:4]):
        folder.upload_done(upload).write_text(f'{{"session": "sender", "seq": {seq}}}')
        folder.upload_data(upload).unlink()
        folder.upload_json(upload).unlink()
    threads = [threading.Thread(target=uploads.look, args=(folder,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert uploads.pointers(run.run_id) == {"sender": 3}
    assert uploads.of(run.run_id) == uploads.of() == orders[4:]
    assert sorted(path.name for path in folder.uploads.iterdir()) == [
        f"{orders[4]}.data",
        f"{orders[4]}.json",
    ]
    assert run.appended == 5 + run._stream.next_seq
