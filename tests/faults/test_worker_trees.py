"""Programs that fork and spawn eight workers in every way: nothing lost, nothing doubled, nothing stuck.

What a program does is made up from its number (`tree_of_workers`). What its processes have logged is read back
from the API and compared with what they had counted.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import tree_of_workers
from tests.faults.scale import times
from tests.fix_up import Up, get, wait_until

WAYS = 9
DEADLINE_S = 60
TOGETHER = 4


def start(up: Up, number: int, folder: Path) -> "subprocess.Popen[str]":
    journals = folder / f"{number}"
    journals.mkdir()
    return subprocess.Popen(
        [sys.executable, tree_of_workers.__file__, f"{number}.{os.urandom(4).hex()}", str(journals)],
        env=os.environ
        | {"RUNSTONE_TRACKING_URI": up.url, "RUNSTONE_SPOOL": str(folder / "spool"), "RUNSTONE_QUIET": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def undelivered(spool: Path) -> list[Path]:
    """Sessions whose end the sender has not published; all processes are gone."""
    folders = [told.parent for told in spool.glob("*/sessions/*/session.json")]
    return [folder for folder in folders if not (folder / "ended").exists()]


def histories(up: Up, run_id: str) -> dict[str, list[float]]:
    code, run = get(f"{up.url}/api/v1/runs/{run_id}")
    if code != 200:
        return {}
    return {key: get(f"{up.url}/api/v1/runs/{run_id}/metrics/{key}")[1]["values"] for key in run["metrics"]}


def counted(journals: Path) -> dict[str, int]:
    return {path.name: int.from_bytes(path.read_bytes(), "little") for path in journals.iterdir()}


def check(up: Up, run_id: str, journals: Path, arguments: str) -> None:
    counts = counted(journals)
    read: dict[str, list[float]] = {}

    def arrived() -> bool:
        read.update(histories(up, run_id))
        return all(len(read.get(key, ())) >= n for key, n in counts.items())

    try:
        wait_until(arrived, f"everything of {arguments} is there", patience=DEADLINE_S)
    finally:
        print(arguments, run_id, {key: (n, len(read.get(key, ()))) for key, n in counts.items()})
    for key, values in read.items():
        if key.startswith("any"):  # see `forks_that_return_from_a_handler`
            assert {int(i) // 3 for i in values} == set(range(len(set(values)))), (arguments, key)
        else:
            assert sorted(values) == [float(i) for i in range(counts.get(key, 1))], (arguments, key)
    run = get(f"{up.url}/api/v1/runs/{run_id}")[1]
    assert run["completeness"]["complete"], (arguments, run["completeness"])
    assert run["status"] == "FINISHED", (arguments, run["status"])


@pytest.mark.timeout(3600)
def test_programs_with_eight_workers_lose_and_double_nothing_and_end(up, tmp_path):
    end = times(WAYS, 200)
    for first in range(0, end, TOGETHER):
        programs = {
            number: start(up, number, tmp_path) for number in range(first, min(first + TOGETHER, end))
        }
        run_ids = {}
        for number, program in programs.items():
            # the end of stdout is the end of the last of its processes
            said, errors = program.communicate(timeout=DEADLINE_S)
            assert program.returncode in {0, 1}, errors
            assert "runstone" not in errors.replace("tree_of_workers", ""), errors
            run_ids[number] = said.split()[0]
        wait_until(lambda: not undelivered(tmp_path / "spool"), "every session is delivered")
        for number, run_id in run_ids.items():
            check(up, run_id, tmp_path / f"{number}", f"program {programs[number].args[2]}")
