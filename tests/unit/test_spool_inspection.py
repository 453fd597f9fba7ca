"""``runstone spool``: what it tells of spools that are whole, damaged, live or of another machine."""

import json
import os
import shutil
import sys
import zlib

import pytest

from runstone import cli
from runstone.events.types import RunStarted
from runstone.spool.inspection import inspect
from runstone.spool.layout import ACK, MachineFolder, this_machine
from runstone.spool.refused import RefusedFile
from runstone.spool.segment import EVENT
from tests import without_privileges
from tests.handmade_spool import HandmadeSession

RUN = "a" * 32
URI = "http://127.0.0.1:5000"


@pytest.fixture
def spool(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNSTONE_SPOOL", str(tmp_path / "spool"))
    return tmp_path / "spool"


@pytest.fixture
def session(spool):
    found = HandmadeSession(this_machine(spool), URI)
    found.event(RUN, RunStarted(0, "Default", "x", 1))
    for i in range(50):
        found.point(RUN, "loss", i, 1.5)
    found.roll()
    found.series(RUN, "s", [1, 2], [0.5, 1.0])
    yield found
    if found._lock >= 0:
        found.die()


def told(*arguments, capsys, code=0):
    assert cli.main(["spool", *arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_a_live_session_is_shown_with_its_segments_streams_and_what_waits(session, capsys):
    [found] = told("show", capsys=capsys)["sessions"]
    assert (found["state"], found["boot"], found["uri"]) == ("live", "this", URI)
    assert [(s["points"], s["events"], s["series"], s["closed"]) for s in found["segments"]] == [
        (50, 1, 0, True),
        (0, 0, 1, False),
    ]
    assert found["streams"][RUN] == {
        "records": 52, "next_seq": 52, "dropped": 0, "missing": [], "events": {"run_started": 1},
    }  # fmt: skip
    assert found["waiting_bytes"] == sum(s["used"] - 4096 for s in found["segments"])


def test_what_is_acknowledged_does_not_wait(session, capsys):
    session.die()
    session._lock = -1
    [found] = told("list", capsys=capsys)["sessions"]
    end = 2, found["segments"][1]["used"]
    body = ACK.pack(0, *end)[4:]
    session.folder.ack.write_bytes(zlib.crc32(body).to_bytes(4, "little") + body)
    [found] = told("list", capsys=capsys)["sessions"]
    assert (found["state"], found["waiting_bytes"], found["acknowledged"]) == ("delivered", 0, list(end))


def test_verify_finds_nothing_in_a_whole_spool_and_everything_in_a_damaged_one(session, capsys):
    assert cli.main(["spool", "verify"]) == 0
    assert "no damage" in capsys.readouterr().out
    with session.folder.segment(1).open("r+b") as file:
        os.pwrite(file.fileno(), b"\xff", 100)
        os.pwrite(file.fileno(), b"\xff\xff\xff\xff", 4096 + 40 * 48)
    session.folder.ack.write_bytes(b"nonsense")
    found = told("verify", capsys=capsys, code=1)
    whats = [finding["what"] for finding in found["findings"]]
    assert ["ack" in f["path"] for f in found["findings"]] == [True, False, False, False]
    assert "one half of its first page" in whats[1]
    assert "is damaged at" in whats[2]
    assert f"1 records of {RUN}" in whats[3]
    assert cli.main(["spool", "verify"]) == 1
    assert "4 findings" in capsys.readouterr().out


def test_the_unfinished_record_of_a_live_session_is_no_damage_and_a_hole_before_its_last_segment_is(
    session, capsys
):
    segment = session.segment
    os.pwrite(segment.file, b"\0\0\0\0\x30\0\0\x03" + b"\7" * 40, segment.at)
    told("verify", capsys=capsys)
    os.pwrite(segment.file, b"\1\2\3\4\x30\0\0\x03" + b"\7" * 40, segment.at)
    told("verify", capsys=capsys)
    session.die()
    session._lock = -1
    assert "is damaged at" in str(told("verify", capsys=capsys, code=1)["findings"])


def test_missing_and_foreign_segments_are_told(session, spool, capsys):
    session.roll()
    session.folder.segment(2).unlink()
    session.folder.segment(3).write_bytes(b"no segment at all" * 1000)
    os.truncate(session.folder.segment(1), 5000)
    session.folder.json.unlink()
    found = told("verify", capsys=capsys, code=1)
    whats = "\n".join(finding["what"] for finding in found["findings"])
    for what in (
        "was cut",
        "is missing, and a later segment is there",
        "does not begin with RUNSTONE",
        "session.json",
    ):
        assert what in whats or what in str(found["findings"])
    assert found["sessions"][0]["uri"] == URI, "the segment says it as well"


def test_any_part_of_a_spool_can_be_named_wherever_it_was_brought(session, spool, tmp_path, capsys):
    elsewhere = tmp_path / "brought" / "othermachine-otherboot"
    refused = RefusedFile(session.folder.refused)
    refused.note(RUN, 52, 7)
    refused.close()
    session.upload(RUN, "a.txt", b"12345")
    shutil.copytree(this_machine(spool).path, elsewhere, ignore=shutil.ignore_patterns("wake"))
    copied = MachineFolder(elsewhere).session(session.id)
    for path in (tmp_path / "brought", elsewhere, copied.path):
        [found] = told("show", str(path), capsys=capsys)["sessions"]
        assert (found["boot"], found["state"]) == ("elsewhere", "waiting")
        assert found["refused"] == [{"stream": RUN, "first_seq": 52, "count": 7}]
        assert found["uploads"] == {"count": 1, "bytes": 5}
    [found] = told("show", str(copied.segment(2)), capsys=capsys)["sessions"]
    assert [s["number"] for s in found["segments"]] == [2]
    [found] = told("show", session.id[:20], capsys=capsys)["sessions"]
    assert found["session"] == session.id
    this_machine(spool).session(f"{session.id[:31]}x").path.mkdir()
    assert cli.main(["spool", "show", session.id[:20]]) == 2
    assert "the ids of 2 sessions begin with" in capsys.readouterr().err


def test_a_segment_is_read_whatever_its_file_is_called(session, tmp_path, capsys):
    whole, damaged = tmp_path / "mailed.seg", tmp_path / "damaged.seg"
    shutil.copy(session.folder.segment(1), whole)
    [found] = told("verify", str(whole), capsys=capsys, code=1)["sessions"]
    [segment] = found["segments"]
    assert (segment["number"], segment["points"], found["state"]) == (1, 50, "waiting")
    content = bytearray(whole.read_bytes())
    content[session.folder.segment(1).stat().st_size // 2 :] = b""
    content[4096 + 200] ^= 255
    damaged.write_bytes(content)
    assert "is damaged at" in str(told("verify", str(damaged), capsys=capsys, code=1)["findings"])
    damaged.write_bytes(b"no segment")
    assert "does not begin with RUNSTONE" in str(
        told("verify", str(damaged), capsys=capsys, code=1)["findings"]
    )


def test_what_may_not_be_read_is_told_and_hides_nothing_else(session, spool):
    closed = HandmadeSession(this_machine(spool), URI, alive=False).folder.path
    another_machine = spool / "othermachine-otherboot"
    another_machine.mkdir()
    for path in (closed, another_machine):
        path.chmod(0)
    told = without_privileges.run(sys.executable, "-m", "runstone.cli", "spool", "verify", str(spool))
    assert told.returncode == 1, told.stderr
    for path in (closed, another_machine):
        assert f"damage: {path} cannot be read: Permission denied" in told.stdout
        path.chmod(0o700)
    assert "1 session, 2 segments, 52 records: 2 findings" in told.stdout


def test_strange_files_beside_the_segments_hide_nothing(session, capsys):
    (session.folder.path / "\N{SUPERSCRIPT TWO}.seg").write_bytes(b"x")
    (session.folder.path / "1.seg").write_bytes(b"x")
    os.mkfifo(session.folder.segment(3))
    found = told("verify", capsys=capsys, code=1)
    assert [finding["what"] for finding in found["findings"]] == ["is no file"]
    assert [segment["number"] for segment in found["sessions"][0]["segments"]] == [1, 2]


def test_records_that_are_whole_and_say_nonsense_are_told_or_passed_over(session, capsys):
    stream = session.segment.stream(RUN, 51)[0]
    for said in (
        b'{"type":"range_declared"}',
        b'{"type":"range_declared","first_seq":"x","count":[]}',
        b"no",
    ):
        session.segment.put(EVENT, stream, seq=session.seqs[RUN] - 51, payload=said)
        session.seqs[RUN] += 1
    session.folder.json.write_text(json.dumps({"uri": URI, "started_ms": 10**18}))
    for verb in ("list", "show"):
        assert cli.main(["spool", verb]) == 0
        assert f"{10**18} ms" in capsys.readouterr().out


def test_the_tables_are_for_people(session, spool, capsys):
    machine = this_machine(spool)
    machine.destination(URI).write_text(json.dumps({"uri": URI, "finding": "nothing answers"}))
    (machine.rejected / "x.json").write_text("{}")
    assert cli.main(["spool", "list"]) == 0
    listed = capsys.readouterr().out
    assert session.id in listed
    assert f"{URI}: nothing answers" in listed
    assert f"1 record or file refused for good: {machine.rejected}" in listed
    assert cli.main(["spool", "show", session.id]) == 0
    shown = capsys.readouterr().out
    assert "SEGMENT" in shown
    assert RUN in shown


def test_what_is_no_spool_is_a_usage_error_and_an_empty_place_is_an_empty_spool(tmp_path, spool, capsys):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    assert cli.main(["spool", "verify", str(tmp_path / "other")]) == 2
    assert "is no spool" in capsys.readouterr().err
    assert cli.main(["spool", "verify", str(tmp_path / "none")]) == 2
    for _there in (False, True):
        assert cli.main(["spool", "list"]) == 0
        assert "nothing in the spool" in capsys.readouterr().out
        assert cli.main(["spool", "verify"]) == 0
        spool.mkdir(exist_ok=True)


def test_a_spool_of_another_format_is_told(session, spool):
    this_machine(spool).format.write_text("2")
    [finding] = inspect(spool, whole=True).findings
    assert "this program knows format 1" in finding.what
