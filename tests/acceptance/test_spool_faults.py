"""Disks that fail or fill up and processes that are killed: the training goes on, and what is lost is told."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.spool_contents import events, run_streams, spool_records
from tests.spool_recovery import refused_ranges

DEADLINE = 120
ROOT = Path(__file__).parents[2]

ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("RUNSTONE_")} | {
    "RUNSTONE_OFFLINE": "1",
    "RUNSTONE_TRACKING_URI": "http://127.0.0.1:9",
}


@pytest.mark.parametrize(
    "faults",
    [
        "once mapped 1 EIO",
        "once written 2 EIO EMFILE",
        "onwards mapped 2 ENOSPC EROFS",
        "onwards written 4 ENOSPC EROFS EMFILE",
    ],
)
def test_whichever_system_call_of_the_spool_fails_training_goes_on_and_losses_are_declared(tmp_path, faults):
    done = subprocess.run(
        [sys.executable, "-m", "tests.spool_fault_program", str(tmp_path), *faults.split()],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_what_was_refused_is_known_when_the_process_is_killed(tmp_path):
    done = run(
        """
        import os, signal, runstone
        run = runstone.start_run()
        for i in range(60_000): runstone.log_metric("k", i, i)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        tmp_path,
        RUNSTONE_SPOOL_LIMIT="1500K",
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stderr.count("warning") == 1
    records = spool_records(tmp_path)
    [run_id] = run_streams(records)
    [(stream, first, n)] = refused_ranges(next(tmp_path.glob("*/sessions/*/refused")))
    assert stream == run_id
    # the context comes when it has been gathered, and declares what was refused before it
    declared = sum(e["count"] for e in events(records, run_id, "range_declared"))
    stored = [r.seq for r in records if r.stream == run_id]
    assert first == stored[-1] + 1
    assert (
        len(stored) + declared + n - len([r for r in records if r.kind == 4 and r.stream == run_id]) == 60_000
    )


def run(program: str, spool: Path, *prefix: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, sys.executable, "-c", textwrap.dedent(program)],
        env=ENVIRONMENT | {"RUNSTONE_SPOOL": str(spool), "PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


UNTIL_FULL = """
import os, sys, runstone
from runstone.spool import allocation
{mutation}
with runstone.start_run() as run:
    for i in range(150_000): runstone.log_metric("k", i / 3, i)
    runstone.log_param("after", "the disk was full")
    free = os.statvfs(os.environ["RUNSTONE_SPOOL"])
    print(free.f_bavail * free.f_frsize)
"""

SPARSE = "allocation.os.posix_fallocate = lambda fd, start, size: os.ftruncate(fd, size)"


def on_a_full_tmpfs(out: Path, mutation: str = "pass") -> subprocess.CompletedProcess[str]:
    """Train on a tmpfs of 6 MiB in a mount namespace of its own; the spool is copied to *out*."""
    disk = out.parent / "disk"
    disk.mkdir()
    unshare = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    mount = f"mount -t tmpfs -o size=6m tmpfs {disk}"
    if (
        shutil.which("unshare") is None
        or subprocess.run([*unshare, "sh", "-c", mount], check=False).returncode
    ):
        pytest.skip("a tmpfs cannot be mounted here: neither root nor a user namespace")
    script = f'{mount} && "$@"; code=$?; cp -a {disk}/. {out}; exit $code'
    return run(UNTIL_FULL.format(mutation=mutation), disk, *unshare, "sh", "-c", script, "sh")


def test_a_disk_that_is_really_full_under_the_map_costs_points_and_keeps_params_and_the_end(tmp_path):
    spool = tmp_path / "spool"
    spool.mkdir()
    done = on_a_full_tmpfs(spool)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("warning") == 1
    assert str(tmp_path / "disk") in done.stderr
    assert "No space left on device" in done.stderr
    assert int(done.stdout) < 1 << 20
    records = spool_records(spool)
    run_id = run_streams(records)[0]
    mine = [r for r in records if r.stream == run_id]
    declared = [
        seq
        for e in events(records, run_id, "range_declared")
        for seq in range(e["first_seq"], e["first_seq"] + e["count"])
    ]
    assert sorted([*declared, *(r.seq for r in mine)]) == list(range(len(declared) + len(mine)))
    assert len(declared) > 10_000
    assert [e["value"] for e in events(records, run_id, "param")] == ["the disk was full"]
    assert [e["status"] for e in events(records, run_id, "run_ended")] == ["FINISHED"]


def test_without_allocation_the_test_of_the_full_disk_fails(tmp_path):
    """The mutant: a sparse file under the map is SIGBUS, which is why segments are allocated."""
    spool = tmp_path / "spool"
    spool.mkdir()
    assert on_a_full_tmpfs(spool, SPARSE).returncode in {-signal.SIGBUS, 128 + signal.SIGBUS}


@pytest.mark.parametrize("mapped", ["pass", "session.allocation_binds = lambda folder: False"])
def test_a_limit_on_the_size_of_files_is_a_full_disk(tmp_path, mapped):
    done = run(
        f"""
        import resource, runstone
        from runstone.spool import session
        {mapped}
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 15, 1 << 15))
        with runstone.start_run() as run:
            for i in range(20_000): runstone.log_metric("k", i / 3, i)
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("warning") == 1
    assert str(tmp_path) in done.stderr


def test_a_spool_of_another_user_or_version_is_told_once_and_training_goes_on(tmp_path):
    program = """
        import os, runstone
        from runstone.spool.layout import this_machine, spool_root
        machine = this_machine(spool_root())
        machine.make()
        {wrong}
        for _ in range(2):
            with runstone.start_run() as run:
                runstone.log_metric("k", 1)
                runstone.log_param("p", 1)
        """
    found = {
        "another version of runstone": "machine.format.write_text('7')",
        "cannot be written": "import shutil; shutil.rmtree(machine.path); machine.path.write_text('no folder')",
    }
    if os.getuid() == 0:
        found["belongs to another user"] = "os.chown(machine.path, 4711, 4711)"
    for i, (said, wrong) in enumerate(found.items()):
        done = run(program.format(wrong=wrong), tmp_path / str(i))
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("warning") == 1
        assert said in done.stderr
        assert str(tmp_path / str(i)) in done.stderr
        assert "RUNSTONE_SPOOL" in done.stderr
