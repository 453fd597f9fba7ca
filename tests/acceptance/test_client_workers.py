"""Workers that are started in whichever way log to the run that was active where they were started."""

import fcntl
import subprocess
from pathlib import Path

import pytest

from runstone.spool.layout import this_machine
from tests.fix_training import Training, is_locked, wait_until
from tests.spool_contents import POINT, assert_dense, events, run_streams, session_folders, spool_records

WORKERS = """
import concurrent.futures, multiprocessing, sys
import runstone

def work(i):
    runstone.log_metric("k", i, i)
    return runstone.active_run().run_id

def work_for(run, i):
    run.log_metric("k", i, i)

def start_another():
    with runstone.start_run(run_name="of the worker"):
        runstone.log_metric("own", 1)

def leave_one_open():
    runstone.start_run(run_name="of the worker")
    runstone.log_metric("own", 1)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
"""


@pytest.fixture
def program(tmp_path, train):
    """Starts a program whose workers can be spawned: it has a file."""

    def start(method: str, body: str, **environment: str) -> Training:
        file = tmp_path / "program.py"
        file.write_text(WORKERS + "".join(f"    {line}\n" for line in body.strip().splitlines()))
        return train(
            f"import runpy, sys; sys.argv = [{str(file)!r}, {method!r}]\n"
            f"import os; os.execv(sys.executable, [sys.executable, *sys.argv])",
            **environment,
        )

    return start


def points(root: Path, stream: str) -> list[float]:
    return sorted(r.data[1] for r in spool_records(root) if r.kind == POINT and r.stream == stream)


METHODS = pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])


@METHODS
def test_workers_of_any_pool_join_the_run_that_was_active_where_they_were_started(program, tmp_path, method):
    training = program(
        method,
        """
with runstone.start_run() as run:
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
        assert set(executor.map(work, range(6))) == {run.run_id}
    with context.Pool(2) as pool:
        assert set(pool.map(work, range(6, 12))) == {run.run_id}
    process = context.Process(target=work_for, args=(run, 12))
    process.start()
    process.join()
    assert process.exitcode == 0
""",
    )
    code, err = training.end()
    assert code == 0, err
    records = spool_records(tmp_path)
    assert_dense(records)
    [run] = run_streams(records)
    assert points(tmp_path, run) == list(range(13))
    joined = len(session_folders(tmp_path)) - 1
    assert [len(events(records, run, t)) for t in ("run_started", "run_joined", "run_ended")] == [
        1,
        joined,
        1,
    ]


@METHODS
def test_a_worker_may_have_runs_of_its_own_which_end_with_it(program, tmp_path, method):
    training = program(
        method,
        """
with runstone.start_run(run_name="of the parent"):
    for target in (start_another, leave_one_open):
        process = context.Process(target=target)
        process.start()
        process.join()
        assert process.exitcode == 0
""",
    )
    code, err = training.end()
    assert code == 0, err
    records = spool_records(tmp_path)
    parent, *own = run_streams(records)
    assert len(own) == 2
    for run in own:
        assert events(records, run, "run_started")[0]["name"] == "of the worker"
        assert [e["status"] for e in events(records, run, "run_ended")] == ["FINISHED"]
        assert points(tmp_path, run) == [1]
    assert points(tmp_path, parent) == []


def test_a_worker_of_a_rank_that_shares_a_run_does_not_start_it_again(program, tmp_path):
    shared = "0" * 31 + "1"
    training = program(
        "spawn",
        """
with runstone.start_run() as run, context.Pool(2) as pool:
    assert set(pool.map(work, range(4))) == {run.run_id}
""",
        RUNSTONE_RUN_ID=shared,
        RANK="0",
    )
    code, err = training.end()
    assert code == 0, err
    records = spool_records(tmp_path)
    assert run_streams(records) == [shared]
    assert len(events(records, shared, "run_started")) == len(events(records, shared, "run_ended")) == 1
    assert points(tmp_path, shared) == list(range(4))


def test_a_copy_of_a_run_is_the_run(program, tmp_path):
    training = program(
        "fork",
        """
import copy, pickle
run = runstone.start_run()
assert copy.deepcopy({"run": run})["run"] is run
assert pickle.loads(pickle.dumps(run)) is run
run.end()
assert pickle.loads(pickle.dumps(run)) is run
""",
    )
    code, err = training.end()
    assert code == 0, err


def test_a_pool_that_is_terminated_takes_no_run_down(program, tmp_path):
    training = program(
        "fork",
        """
with runstone.start_run():
    pool = context.Pool(4)
    pool.map(work, range(8))
    pool.terminate()
    pool.join()
    work(8)
""",
    )
    code, err = training.end()
    assert code == 0, err
    records = spool_records(tmp_path)
    [run] = run_streams(records)
    assert points(tmp_path, run) == list(range(9))
    assert events(records, run, "run_ended")[0]["status"] == "FINISHED"


def test_workers_of_torchs_data_loader_log_to_the_run(program, tmp_path):
    pytest.importorskip("torch", reason="optional tier: torch is not installed")
    training = program(
        "fork",
        """
from torch.utils.data import DataLoader, Dataset
class Data(Dataset):
    def __len__(self): return 16
    def __getitem__(self, i):
        work(i)
        return i
with runstone.start_run():
    list(DataLoader(Data(), num_workers=4))
""",
    )
    code, err = training.end()
    assert code == 0, err
    [run] = run_streams(spool_records(tmp_path))
    assert points(tmp_path, run) == list(range(16))


IN_A_CONTAINER = """
import os, time, runstone
assert os.getpid() == 1
with runstone.start_run() as run:
    print(run.run_id, flush=True)
    while True:
        run.log_metric("k", 1)
        time.sleep(0.01)
"""


def test_containers_with_one_spool_share_a_sender_and_one_goes_on_when_the_others_sender_dies(
    train, tmp_path
):
    """Process namespaces of their own, as containers have them: in each the program is process 1."""
    if not namespaces():
        pytest.skip("this user may make no process namespaces here")
    program = """
        import os, sys
        command = ["unshare", "-pf", "--kill-child", sys.executable, "-c", os.environ["CODE"]]
        os.execvp(command[0], command)
    """
    machine = this_machine(tmp_path)
    first = train(program, CODE=IN_A_CONTAINER, RUNSTONE_OFFLINE="0")
    first_run = first.line()
    wait_until(lambda: machine.sender_json.exists() and is_held(machine.sender_lock))
    sender = machine.sender_json.stat().st_ino
    second = train(program, CODE=IN_A_CONTAINER, RUNSTONE_OFFLINE="0")
    assert second.line() != first_run
    assert machine.sender_json.stat().st_ino == sender
    first.process.kill()
    wait_until(lambda: machine.sender_json.stat().st_ino != sender and is_held(machine.sender_lock))
    assert second.process.poll() is None
    assert sum(is_locked(folder) for folder in session_folders(tmp_path)) == 1


def is_held(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def namespaces() -> bool:
    try:
        return subprocess.run(["unshare", "-pf", "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False
