"""The last moments of a training process: who still logs is heard, nobody is held up, nothing raises."""

import fcntl
import json
import os
import signal
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

from runstone.spool.layout import this_machine
from tests.fix_training import UNTIL_SIGNALLED, ended, is_locked, wait_until
from tests.spool_contents import POINT, events, run_streams, session_folders, spool_records

ON_A_DISK_THAT_GOES = """
import runstone.leaving
runstone.leaving.goes_with_its_container = lambda folder: True
"""


def points(root: Path) -> list[float]:
    return [r.data[1] for r in spool_records(root) if r.kind == POINT]


def test_exit_hooks_and_threads_that_log_on_at_the_exit_are_heard_and_start_no_run(train, tmp_path):
    training = train("""
        import atexit, threading, time, runstone
        def last(): runstone.log_metric("k", 2); time.sleep(0.05)
        atexit.register(last)
        runstone.log_metric("k", 1)
        def log():
            while True: runstone.log_metric("of a thread", 1); time.sleep(0.001)
        threading.Thread(target=log, daemon=True).start()
    """)
    code, err = training.end()
    assert (code, err.count("\n")) == (0, 1), err  # the line with the run's link
    records = spool_records(tmp_path)
    assert len(run_streams(records)) == 1
    assert [r.data[1] for r in records if r.key == "k"] == [1, 2]
    [end] = [i for i, r in enumerate(records) if r.kind != POINT and r.data["type"] == "run_ended"]
    assert any(r.key == "of a thread" for r in records[end:])
    assert records[end].data["status"] == "FINISHED"


def test_a_run_that_is_started_at_the_exit_is_ended(train, tmp_path):
    training = train("""
        import atexit, runstone
        atexit.register(lambda: runstone.start_run(run_name="late").log_metric("k", 1))
        with runstone.start_run(): pass
    """)
    assert training.end()[0] == 0
    records = spool_records(tmp_path)
    _first, late = run_streams(records)
    assert [e["status"] for e in events(records, late, "run_ended")] == ["FINISHED"]
    assert points(tmp_path) == [1]


def test_a_program_whose_exit_hook_is_the_first_to_log_ends_its_run(train, tmp_path):
    training = train("""
        import atexit, logging
        def last():
            import runstone
            runstone.log_metric("k", 1)
        atexit.register(last)
    """)
    assert training.end()[0] == 0
    records = spool_records(tmp_path)
    [run] = run_streams(records)
    assert [e["status"] for e in events(records, run, "run_ended")] == ["FINISHED"]
    assert points(tmp_path) == [1]


def test_what_is_logged_while_the_interpreter_goes_down_is_kept(train, tmp_path):
    training = train("""
        import runstone
        run = runstone.start_run()
        class Last:
            def __del__(self):
                runstone.log_metric("k", 1)
                runstone.log_text("text", "last.txt")
        last = Last()
    """)
    code, err = training.end()
    assert (code, err.count("\n")) == (0, 1), err  # the line with the run's link
    assert points(tmp_path) == [1]
    [session] = session_folders(tmp_path)
    assert len(list((session / "uploads").glob("*.json"))) == 1


def test_a_program_without_standard_streams_gives_their_numbers_to_no_file_of_the_spool(train, tmp_path):
    training = train("""
        import os, sys
        sys.stderr = None
        for number in range(3): os.close(number)
        import runstone
        runstone.log_param("long", "x" * 7000)
        assert all(os.readlink(f"/proc/self/fd/{number}") == os.devnull for number in range(3))
    """)
    assert training.end() == (0, "")
    assert len(run_streams(spool_records(tmp_path))) == 1


@pytest.mark.parametrize(
    ("ending", "code", "status"),
    [
        ("threading.Thread(target=lambda: 1 / 0).start()", 0, "FINISHED"),
        ("threading.Thread(target=sys.exit, args=(3,)).start()", 0, "FINISHED"),
        ("faulthandler.enable()", 0, "FINISHED"),
        ("sys.stderr.close()", 0, "FINISHED"),
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(9)", -signal.SIGINT, "FAILED"),
        ("faulthandler.enable(); faulthandler._sigsegv()", -signal.SIGSEGV, None),
        ("os._exit(0)", 0, None),
    ],
)
def test_whatever_happens_in_a_process_it_ends_as_it_would_without_us(train, tmp_path, ending, code, status):
    training = train(f"""
        import faulthandler, os, signal, sys, threading, time, runstone
        runstone.log_metric("k", 1)
        {ending}
    """)
    assert training.end()[0] == code
    assert [event["status"] for event in ended(tmp_path)] == ([status] if status else [])
    assert points(tmp_path) == [1]


def test_a_handler_that_a_library_has_installed_in_c_is_left_alone(train, tmp_path):
    training = train("""
        import ctypes, os, signal, time, runstone
        ctypes.CDLL(None).signal(signal.SIGTERM, ctypes.c_void_p(signal.SIG_IGN))
        runstone.log_metric("k", 1)
        os.kill(os.getpid(), signal.SIGTERM)
    """)
    assert training.end()[0] == 0
    assert ended(tmp_path)[0]["status"] == "FINISHED"


def test_an_interrupted_call_is_stored_or_not_begun_and_the_next_ones_go_on(train, tmp_path):
    training = train("""
        import signal, time, runstone
        run, returned, caught, inside = runstone.start_run(), 0, 0, False
        def interrupt(*_):
            global inside
            if inside:
                inside = False  # the next signal may come before the except clause begins
                raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        while caught < 300:
            try:
                inside = True
                run.log_metric(f"k{returned % 7}", returned, returned)
                inside = False
                returned += 1
            except KeyboardInterrupt:
                caught += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        run.log_metric("last", returned)
        print(returned)
    """)
    out, err = training.process.communicate(timeout=30)
    assert training.process.returncode == 0, err
    found = [r.data[0] for r in spool_records(tmp_path) if r.kind == POINT and r.key != "last"]
    returned = int(out)
    # the very last interrupt may have come after its call's record was stored and before it returned
    assert sorted(set(found)) in (list(range(returned)), list(range(returned + 1)))
    assert ended(tmp_path)[0]["status"] == "FINISHED"


def test_where_nothing_can_be_written_there_is_one_warning_and_calls_cost_next_to_nothing(train):
    training = train(
        """
        import time, runstone
        with runstone.start_run() as run:
            run.log_param("p", 1)
            run.log_text("a", "a.txt")
            began = time.perf_counter()
            for i in range(20_000): run.log_metric("k", i)
            print((time.perf_counter() - began) / 20_000)
            print(runstone.flush(0.1))
        """,
        RUNSTONE_SPOOL="/proc/none/spool",
        RUNSTONE_OFFLINE="0",
    )
    out, err = training.process.communicate(timeout=30)
    cost, flushed = out.split()
    assert training.process.returncode == 0
    assert err.count("\n") == err.count("warning") == 1, err
    assert "RUNSTONE_SPOOL" in err
    assert flushed == "False"
    assert float(cost) < 50e-6


def test_a_home_that_cannot_be_written_is_no_reason_to_log_nothing(train, tmp_path):
    training = train(
        """
        import os, pathlib, runstone, runstone.spool.layout as layout
        layout.LOCAL_STATE = pathlib.Path(os.environ["ELSEWHERE"])
        runstone.log_metric("k", 1)
        """,
        RUNSTONE_SPOOL="",
        XDG_STATE_HOME="/dev/null",
        HOME="/dev/null",
        ELSEWHERE=str(tmp_path),
    )
    code, err = training.end()
    assert code == 0
    assert err.count("warning") == 1
    assert "cannot be written" in err
    assert points(tmp_path / f"runstone-{os.getuid()}/runstone/spool") == [1]


CONNECT = {
    "installation_id": "i",
    "bootstrap_servers": "127.0.0.1:9",
    "topics": {"events": "e", "catalog": "c"},
    "partitions": 1,
    "artifact_root": "",
    "event_versions": [1],
    "web_url": "",
}


class FakeSender:
    """Holds a sender's lock and says what a sender would say about a destination that answers."""

    def __init__(self, root: Path, url: str) -> None:
        self.machine = this_machine(root)
        self.machine.make()
        self.url = url
        self.lock = self.machine.sender_lock.open("w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)

    def answered(self) -> None:
        now_ms = time.time_ns() // 10**6
        told = {"uri": self.url, "connect": CONNECT, "finding": None, "answered_ms": now_ms}
        self.machine.destination(self.url).write_text(json.dumps(told))

    def acknowledge(self, folder: Path) -> None:
        body = struct.pack("<IQ", 99, 0)
        (folder / "ack").write_bytes(struct.pack("<I", crc32(body)) + body)


@pytest.fixture
def fake_sender(tmp_path: Path) -> Iterator[FakeSender]:
    sender = FakeSender(tmp_path, "http://127.0.0.1:9")
    yield sender
    sender.lock.close()


LOGS_ONE_POINT = """
import runstone
runstone.log_metric("k", 1)
print("logged", flush=True)
"""


def test_on_a_disk_that_goes_with_the_container_the_exit_waits_for_the_acknowledgement(
    train, tmp_path, fake_sender
):
    fake_sender.answered()
    training = train(
        ON_A_DISK_THAT_GOES + LOGS_ONE_POINT,
        RUNSTONE_OFFLINE="0",
        RUNSTONE_EXIT_TIMEOUT="",
        RUNSTONE_QUIET="1",
    )
    assert training.line() == "logged"
    assert training.process.stderr is not None
    assert "waiting for the server" in training.process.stderr.readline()
    assert training.process.poll() is None
    fake_sender.acknowledge(session_folders(tmp_path)[0])
    code, err = training.end()
    assert (code, err) == (0, "")


def test_where_the_server_does_not_answer_such_an_exit_waits_two_seconds_at_most(train, fake_sender):
    training = train(
        ON_A_DISK_THAT_GOES + LOGS_ONE_POINT,
        RUNSTONE_OFFLINE="0",
        RUNSTONE_EXIT_TIMEOUT="",
        RUNSTONE_QUIET="1",
    )
    assert training.line() == "logged"
    began = time.monotonic()
    code, err = training.end()
    assert code == 0
    assert 1.5 < time.monotonic() - began < 4
    assert "RUNSTONE_EXIT_TIMEOUT" in err
    assert err.count("\n") == 1


def test_the_exit_waits_as_long_as_it_was_told(train, tmp_path, fake_sender):
    began = time.monotonic()
    training = train(LOGS_ONE_POINT, RUNSTONE_OFFLINE="0", RUNSTONE_EXIT_TIMEOUT="0.7", RUNSTONE_QUIET="1")
    assert training.end()[0] == 0
    assert time.monotonic() - began >= 0.7
    assert not is_locked(session_folders(tmp_path)[0])


def test_an_impatient_person_ends_the_waiting(train, fake_sender):
    fake_sender.answered()
    training = train(
        ON_A_DISK_THAT_GOES + LOGS_ONE_POINT,
        RUNSTONE_OFFLINE="0",
        RUNSTONE_EXIT_TIMEOUT="",
        RUNSTONE_QUIET="1",
    )
    assert training.line() == "logged"
    assert training.process.stderr is not None
    assert "Ctrl-C" in training.process.stderr.readline()
    training.process.send_signal(signal.SIGINT)
    assert training.end() == (0, "")


def test_the_exit_waits_for_what_dead_workers_have_left(train, tmp_path, fake_sender):
    training = train(
        ON_A_DISK_THAT_GOES
        + """
import os, runstone
runstone.log_metric("k", 1)
if (child := os.fork()) == 0:
    runstone.log_metric("k", 2)
    os._exit(0)
os.waitpid(child, 0)
print("logged", flush=True)
""",
        RUNSTONE_OFFLINE="0",
        RUNSTONE_EXIT_TIMEOUT="20",
        RUNSTONE_QUIET="1",
    )
    assert training.line() == "logged"
    parent, child = session_folders(tmp_path)
    fake_sender.acknowledge(parent)
    assert training.process.stderr is not None
    assert "waiting for the server" in training.process.stderr.readline()
    (child / "ended").mkdir()
    assert training.end()[0] == 0


def test_sigterm_on_a_disk_that_goes_says_the_end_itself_and_waits_for_it(train, tmp_path, fake_sender):
    fake_sender.answered()
    training = train(
        ON_A_DISK_THAT_GOES + "import time\n" + LOGS_ONE_POINT + UNTIL_SIGNALLED,
        RUNSTONE_OFFLINE="0",
        RUNSTONE_EXIT_TIMEOUT="",
        RUNSTONE_QUIET="1",
    )
    assert training.line() == "logged"
    training.process.terminate()
    wait_until(lambda: ended(tmp_path))
    assert training.process.poll() is None
    fake_sender.acknowledge(session_folders(tmp_path)[0])
    assert training.end()[0] == -signal.SIGTERM
    [event] = ended(tmp_path)
    assert (event["status"], event["reason"]) == ("KILLED", "the process was ended by SIGTERM")


def test_with_nothing_to_send_to_a_program_ends_within_two_seconds(train):
    training = train(
        """
        import threading, time, runstone
        with runstone.start_run(): runstone.log_metrics({str(i): i for i in range(1000)})
        runstone.log_text("content", "a.txt")
        def log():
            while True: runstone.log_metric("of a thread", 1)
        for _ in range(3): threading.Thread(target=log, daemon=True).start()
        time.sleep(0.1)
        print("at its end", flush=True)
        """,
        RUNSTONE_OFFLINE="0",
    )
    assert training.line() == "at its end"
    began = time.monotonic()
    assert training.end()[0] == 0
    assert time.monotonic() - began < 2


def test_a_program_that_closes_every_descriptor_finds_nothing_of_ours_in_its_own_files(train, tmp_path):
    started = train(f"""
        import os, pathlib, runstone
        os.chdir({str(tmp_path)!r})
        run = runstone.start_run()
        run.log_metric("x", 1)
        os.closerange(3, 100)
        mine = [os.open(f"mine.{{n}}", os.O_CREAT | os.O_WRONLY) for n in range(40)]
        for asleep in pathlib.Path(os.environ["RUNSTONE_SPOOL"]).glob("*/asleep"):
            asleep.write_bytes(bytes([1, 0, 0, 0, 0, 0, 0, 0]))
        run.log_metric("x", 2)
        print(sum(os.fstat(file).st_size for file in mine), flush=True)
        os._exit(0)
        """)
    assert started.line() == "0"
    assert started.end()[0] == 0
