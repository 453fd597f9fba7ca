"""How a training process ends, seen from what it leaves in the spool: real processes, real signals."""

import os
import signal
from pathlib import Path

import pytest

from tests.fix_training import DEADLINE, UNTIL_SIGNALLED, ended, is_locked, wait_until
from tests.spool_contents import (
    POINT,
    assert_dense,
    events,
    run_streams,
    session_folders,
    session_records,
    spool_records,
)


@pytest.mark.parametrize(
    ("ending", "code", "status", "reason"),
    [
        ("pass", 0, "FINISHED", None),
        ("sys.exit(0)", 0, "FINISHED", None),
        ("sys.exit(3)", 3, "FAILED", "exit code 3"),
        ("sys.exit('no data')", 1, "FAILED", "no data"),
        ("raise ValueError('bad batch')", 1, "FAILED", "ValueError: bad batch"),
    ],
)
def test_a_program_that_comes_to_its_end_ends_its_open_run(train, tmp_path, ending, code, status, reason):
    training = train(f"import sys, runstone; runstone.log_metric('k', 1); {ending}")
    found, err = training.end()
    assert found == code, err
    [event] = ended(tmp_path)
    assert (event["status"], event.get("reason")) == (status, reason)
    assert ("Traceback" in err) == ending.startswith("raise")


def test_nested_runs_that_are_open_at_the_end_are_ended_from_the_inside(train, tmp_path):
    train("import runstone; runstone.start_run(); runstone.start_run(nested=True)").end()
    records = spool_records(tmp_path)
    order = [r.stream for r in records if r.kind != POINT and r.data["type"] == "run_ended"]
    assert order == run_streams(records)[::-1]


def test_a_caught_exception_and_a_users_own_hook_are_left_alone(train, tmp_path):
    training = train("""
        import sys, runstone
        sys.excepthook = lambda *found: print("own hook", file=sys.stderr)
        runstone.start_run()
        try: 1 / 0
        except ZeroDivisionError: pass
        1 / 0
    """)
    code, err = training.end()
    assert code == 1
    assert "own hook" in err
    assert ended(tmp_path)[0]["reason"] == "ZeroDivisionError: division by zero"


def test_sigterm_leaves_its_number_for_the_sender_and_kills_as_ever(train, tmp_path):
    training = train(f"""
        import time, runstone
        runstone.log_metric("k", 1)
        print("ready", flush=True)
        {UNTIL_SIGNALLED}
    """)
    assert training.line() == "ready"
    [folder] = session_folders(tmp_path)
    assert is_locked(folder)
    training.process.terminate()
    assert training.end()[0] == -signal.SIGTERM
    assert (folder / "cause").read_bytes() == bytes([signal.SIGTERM]).ljust(64, b"\0")
    assert not is_locked(folder)
    assert ended(tmp_path) == []


def test_a_program_that_handles_sigterm_keeps_its_handler(train, tmp_path):
    training = train(f"""
        import signal, sys, time, runstone
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        runstone.log_metric("k", 1)
        print("ready", flush=True)
        {UNTIL_SIGNALLED}
    """)
    assert training.line() == "ready"
    training.process.terminate()
    assert training.end()[0] == 0
    assert ended(tmp_path)[0]["status"] == "FINISHED"
    assert (session_folders(tmp_path)[0] / "cause").read_bytes() == bytes(64)


def test_what_a_call_has_returned_survives_kill_9(train, tmp_path):
    training = train("""
        import runstone
        runstone.start_run()
        for i in range(10**9):
            runstone.log_metric("k", i / 3, i)
            if i % 1000 == 999: print(i, flush=True)
    """)
    said = [int(training.line()) for _ in range(100)]
    training.process.kill()
    out, _err = training.process.communicate(timeout=DEADLINE)
    said += map(int, out.split())
    points = [r.data for r in spool_records(tmp_path) if r.kind == POINT]
    assert len(points) > said[-1]
    assert points == [(i, i / 3) for i in range(len(points))]
    assert not is_locked(session_folders(tmp_path)[0])


def test_a_forked_child_has_a_session_of_its_own_and_ends_nothing(train, tmp_path):
    training = train("""
        import os, sys, runstone
        with runstone.start_run():
            runstone.log_metric("k", 1)
            if os.fork() == 0:
                runstone.log_metric("k", 2)
                runstone.log_text("from the child", "child.txt")
                sys.exit(5)
            os.wait()
            runstone.log_metric("k", 3)
    """)
    code, err = training.end()
    assert code == 0, err
    parent, child = session_folders(tmp_path)
    of_parent, of_child = session_records(parent), session_records(child)
    assert_dense(of_parent + of_child)
    assert [r.data[1] for r in of_parent if r.kind == POINT] == [1.0, 3.0]
    said = [r.data if r.kind == POINT else r.data["type"] for r in of_child]
    assert said == ["run_joined", (0, 2.0), "session_ended"]
    assert {r.stream for r in of_child} <= {r.stream for r in of_parent}
    assert len(list((child / "uploads").glob("*.json"))) == 1
    assert ended(tmp_path)[0]["status"] == "FINISHED"


def test_a_child_of_a_forked_child_joins_the_run_as_well(train, tmp_path):
    training = train("""
        import os, runstone
        runstone.start_run()
        if os.fork() == 0:
            runstone.log_metric("k", 1)
            if os.fork() == 0:
                runstone.log_text("from the grandchild", "grandchild.txt")
                os._exit(0)
            os.wait()
            os._exit(0)
        os.wait()
    """)
    code, err = training.end()
    assert code == 0, err
    _parent, _child, grandchild = session_folders(tmp_path)
    assert [r.data["type"] for r in session_records(grandchild)] == ["run_joined"]
    assert len(list((grandchild / "uploads").glob("*.json"))) == 1


def test_a_child_that_outlives_its_parent_does_not_keep_the_parents_session_alive(train, tmp_path):
    training = train("""
        import os, signal, sys, runstone
        runstone.start_run()
        if os.fork() == 0:
            runstone.log_metric("k", 1)
            os.write(1, b"%d\\n" % os.getpid())
            signal.pause()
        os.kill(os.getpid(), signal.SIGKILL) if sys.stdin.readline() else None
    """)
    child = int(training.line())
    try:
        parent, of_child = session_folders(tmp_path)
        training.process.kill()
        training.process.wait(DEADLINE)
        assert not is_locked(parent)
        assert is_locked(of_child)
    finally:
        os.kill(child, signal.SIGTERM)
    wait_until(lambda: not is_locked(of_child))
    assert (of_child / "cause").read_bytes() == bytes(64)


def test_workers_of_a_forking_pool_log_to_the_parents_run(train, tmp_path):
    training = train("""
        import multiprocessing, runstone
        def work(i):
            runstone.log_metric("k", i)
        if __name__ == "__main__":
            with runstone.start_run(), multiprocessing.get_context("fork").Pool(2) as pool:
                pool.map(work, range(20))
    """)
    code, err = training.end()
    assert code == 0, err
    records = spool_records(tmp_path)
    assert_dense(records)
    assert sorted(r.data[1] for r in records if r.kind == POINT) == list(range(20))
    assert len(run_streams(records)) == 1
    assert len(ended(tmp_path)) == 1


def test_a_forked_child_may_start_runs_of_its_own(train, tmp_path):
    training = train("""
        import os, runstone
        with runstone.start_run(run_name="of the parent"):
            if os.fork() == 0:
                with runstone.start_run(run_name="of the child"): runstone.log_metric("k", 1)
                os._exit(0)
            os.wait()
    """)
    code, err = training.end()
    assert code == 0, err
    _parent, child = session_folders(tmp_path)
    of_child = session_records(child)
    [run_id] = run_streams(of_child)
    assert events(of_child, run_id, "run_started")[0]["name"] == "of the child"
    assert len(events(of_child, run_id, "run_ended")) == 1
    assert len(events(of_child, "catalog", "experiment_created")) == 1


def test_a_fork_while_other_threads_log_leaves_no_lock_behind(train, tmp_path):
    training = train("""
        import os, threading, time, runstone
        run, stop = runstone.start_run(), threading.Event()
        def log():
            while not stop.is_set(): run.log_metric(f"k{threading.get_ident() % 3}", 1)
        threads = [threading.Thread(target=log) for _ in range(2)]
        for t in threads: t.start()
        for _ in range(20):
            if (pid := os.fork()) == 0:
                run.log_metric("child", 1)
                os._exit(0)
            os.waitpid(pid, 0)
        stop.set()
        for t in threads: t.join()
    """)
    code, err = training.end()
    assert code == 0, err
    records = spool_records(tmp_path)
    assert_dense(records)
    assert len([r for r in records if r.key == "child"]) == 20


def test_a_process_leaves_a_sender_behind_and_no_zombie(train, tmp_path, sender):
    training = train(
        """
        import os, runstone
        with runstone.start_run(): runstone.log_metric("k", 1)
        print("logged", flush=True)
        """,
        RUNSTONE_OFFLINE="0",
    )
    assert training.line() == "logged"
    code, err = training.end()
    assert code == 0, err
    wait_until(lambda: sender.machine.sender_lock.exists() and sender.pid() > 0)
    assert os.getsid(sender.pid()) != os.getsid(0)


def test_a_sender_that_died_is_replaced_while_the_training_goes_on(train, tmp_path, sender):
    training = train(
        """
        import time, runstone
        runstone.start_run()
        print("started", flush=True)
        while True:
            runstone.log_metric("k", 1)
            time.sleep(0.01)
        """,
        RUNSTONE_OFFLINE="0",
    )
    assert training.line() == "started"
    wait_until(lambda: sender.machine.sender_json.exists() and sender.pid() > 0)
    first = sender.pid()
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: sender.pid() not in {0, first})
    children = Path(f"/proc/{training.process.pid}/task/{training.process.pid}/children")
    wait_until(lambda: not children.read_text().strip())


def test_where_nothing_answers_one_warning_says_so_and_nothing_raises(train, tmp_path, sender):
    training = train(
        """
        import runstone
        with runstone.start_run() as run:
            run.log_metric("k", 1)
            print(runstone.flush(3), run.wait_until_queryable(0.1), flush=True)
        """,
        RUNSTONE_OFFLINE="0",
    )
    assert training.line() == "False False"
    code, err = training.end()
    assert code == 0
    assert err.count("warning") == 1, err
    assert "127.0.0.1:9" in err.split("warning", 1)[1]
