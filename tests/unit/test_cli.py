"""The ``runstone`` command where its output goes nowhere, and what it says of a system that refuses."""

import subprocess
import sys

import pytest

COMMAND = f"{sys.executable} -m runstone.cli"


@pytest.mark.parametrize(
    ("line", "code"),
    [("spool list >&-", 0), ("spool list --json >&-", 0), ("spool list a/b 2>&-", 2), ("spool 2>&-", 2)],
)
def test_a_closed_stream_gets_nothing_and_changes_no_exit_code(line, code, tmp_path):
    done = subprocess.run(
        ["/bin/sh", "-c", f"{COMMAND} {line}"],
        env={"RUNSTONE_SPOOL": str(tmp_path / "spool")},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")


def test_a_full_disk_under_the_output_is_one_sentence(tmp_path):
    done = subprocess.run(
        ["/bin/sh", "-c", f"{COMMAND} spool list >/dev/full"],
        env={"RUNSTONE_SPOOL": str(tmp_path / "spool")},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, b"runstone: No space left on device\n")
