"""What ``runstone status`` tells of this user's sender."""

from pathlib import Path

import orjson
import pytest

from runstone.sender.lease import Lease
from runstone.spool.layout import MachineFolder
from runstone_local.sender_status import lines, sender_status
from runstone_local.status import parts_of_environment


@pytest.fixture
def folder(tmp_path: Path) -> MachineFolder:
    return MachineFolder(tmp_path / "machine-boot")


def test_where_nothing_was_ever_logged_there_is_nothing_to_tell(folder: MachineFolder) -> None:
    assert lines(sender_status(folder)) == []


def test_the_log_of_a_sender_is_named_while_it_runs_and_afterwards(folder: MachineFolder) -> None:
    folder.make()
    lease = Lease(folder)
    assert lease.acquire()
    folder.destination("http://a").write_bytes(orjson.dumps({"finding": "nothing answers at http://a"}))
    folder.destination("http://b").write_bytes(orjson.dumps({"finding": None}))
    (folder.rejected / "x.json").write_bytes(b"{}")
    said = lines(sender_status(folder))
    assert said[0].startswith("this user's sender runs (pid ")
    assert said[0].endswith(str(folder.sender_log))
    assert said[1:] == [
        "nothing answers at http://a",
        f"1 refused records or artifacts lie in {folder.rejected}",
    ]
    lease.release()
    said = lines(sender_status(folder))
    assert said[0].startswith("no sender runs here now")
    assert said[0].endswith(str(folder.sender_log))


def test_a_password_in_the_gateways_address_is_not_shown():
    parts = parts_of_environment({"RUNSTONE_TRACKING_URI": "http://me:secret@host:5000"})
    assert [part.address for part in parts if part.name == "gateway"] == ["http://host:5000"]
