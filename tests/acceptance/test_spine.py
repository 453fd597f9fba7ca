"""From a log call to a query: training scripts as users write them, against the whole running stack."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from runstone_local.ports import free_ports
from tests.fix_up import RUNSTONE, Up, get, wait_until

ROOT = Path(__file__).parents[2]


class Training:
    """Training scripts that log to one server through a spool of their own."""

    def __init__(self, uri: str, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "RUNSTONE_TRACKING_URI": uri, "RUNSTONE_SPOOL": str(folder / "spool"),
        }  # fmt: skip

    def start(self, script: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", "import runstone, sys\n" + textwrap.dedent(script)],
            env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder,
        )  # fmt: skip

    def run(self, script: str) -> "subprocess.CompletedProcess[str]":
        process = self.start(script)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture
def training(up: Up, tmp_path: Path) -> Training:
    return Training(up.url, tmp_path)


def run_of(up: Up, run_id: str) -> dict:
    status, found = get(f"{up.url}/api/v1/runs/{run_id}")
    return found if status == 200 else {}


def wait_for_run(up: Up, run_id: str, what: str, condition) -> dict:
    return wait_until(lambda: (run := run_of(up, run_id)) and condition(run) and run, what)


def test_everything_a_script_logs_can_be_queried_as_it_was_logged(up, training):
    (training.folder / "notes.txt").write_text("as it was")
    done = training.run("""
        runstone.set_experiment("Spine")
        with runstone.start_run(run_name="größe 日本語", tags={"team": "a"}) as run:
            runstone.log_params({"C": 0.1, "empty": "", "deep/key": [1, 2]})
            runstone.log_param("C", "0.1")
            runstone.log_param("C", "0.2")
            for step, value in enumerate([1.5, float("nan"), float("inf"), -0.0, 5e-324]):
                runstone.log_metric("loss/train", value, step=step)
            runstone.log_metric("last", 1, step=2**63 - 1)
            runstone.log_metrics({"a": 1, "b": True}, step=7)
            runstone.log_series("lr", [0.1, 0.2, 0.3], steps=[0, 10, 20])
            runstone.set_tags({"k": "old", "gone": "x"})
            runstone.set_tag("k", "new")
            runstone.delete_tag("gone")
            runstone.log_artifact("notes.txt", "docs")
            open("notes.txt", "w").write("changed right after the call")
            runstone.log_dict({"x": [1, 2.5]}, "config.json")
        print(run.run_id, runstone.flush(30), run.wait_until_queryable(30))
        """)
    assert done.returncode == 0, done.stderr
    run_id, *told = done.stdout.split()
    assert told == ["True", "True"]
    run = run_of(up, run_id)
    assert (run["name"], run["status"], run["experiment_name"]) == ("größe 日本語", "FINISHED", "Spine")
    assert run["params"] == {"C": "0.1", "empty": "", "deep/key": "[1, 2]"}
    assert run["param_conflicts"] == {"C": ["0.2"]}
    assert run["tags"] == {"team": "a", "k": "new"}
    assert run["metrics"] == {"loss/train": 5e-324, "last": 1.0, "a": 1.0, "b": 1.0, "lr": 0.3}
    assert run["completeness"]["complete"]
    history = get(f"{up.url}/api/v1/runs/{run_id}/metrics/loss/train")[1]
    assert history["steps"] == [0, 1, 2, 3, 4]
    assert [repr(v) for v in history["values"]] == ["1.5", "'NaN'", "'Infinity'", "-0.0", "5e-324"]
    assert get(f"{up.url}/api/v1/runs/{run_id}/metrics/loss%2Ftrain")[1] == history
    assert get(f"{up.url}/api/v1/runs/{run_id}/metrics/last")[1]["steps"] == [2**63 - 1]
    content = get(f"{up.url}/api/v1/runs/{run_id}/artifacts/content?path=docs/notes.txt")
    assert content == (200, "as it was")
    assert get(f"{up.url}/api/v1/runs/{run_id}/artifacts/content?path=config.json")[1] == {"x": [1, 2.5]}


def test_an_artifact_that_can_never_be_stored_is_told_and_not_waited_for(up, training):
    done = training.run("""
        import time
        runstone.log_text("a file", "same")
        runstone.log_text("in a folder of the same name", "same/under")
        runstone.log_metric("x", 1)
        began = time.monotonic()
        told = runstone.flush(50), runstone.active_run().wait_until_queryable(50)
        print(*told, time.monotonic() - began < 25)
        """)
    assert (done.returncode, done.stdout.split()) == (0, ["False", "False", "True"]), done.stderr
    [warning] = [line for line in done.stderr.splitlines() if "warning" in line]
    assert "artifact 'same/under' was rejected" in warning
    assert "is a file and a folder" in warning
    kept = Path(warning.rpartition("kept in ")[2])
    assert kept.read_text() == "in a folder of the same name"


def test_what_a_call_returned_survives_kill_9_and_the_run_is_failed_with_the_reason(up, training):
    process = training.start("""
        run = runstone.start_run()
        print(run.run_id, flush=True)
        i = 0
        while True:
            run.log_metric("x", i, step=i)
            i += 1
            if i % 1000 == 0: print(i, flush=True)
        """)
    run_id = process.stdout.readline().strip()
    while int(process.stdout.readline()) < 20_000:
        pass
    # a process that is killed before it could launch a sender is delivered by the next one on the machine
    wait_until(lambda: list(training.folder.glob("spool/*/sender.json")), "a sender runs")
    process.kill()
    returned = int((process.stdout.read().split() or ["20000"])[-1])
    process.communicate()
    wait_for_run(up, run_id, "the run is FAILED", lambda run: run["status"] == "FAILED")
    run = run_of(up, run_id)
    assert "ended without" in run["status_reason"]
    assert run["completeness"]["gaps"] == 0
    history = get(f"{up.url}/api/v1/runs/{run_id}/metrics/x")[1]
    assert len(history["steps"]) >= returned
    assert history["steps"] == list(range(len(history["steps"])))
    assert history["values"] == [float(step) for step in history["steps"]]


@pytest.mark.parametrize(
    ("ending", "status", "reason"),
    [
        ("raise ValueError('no data')", "FAILED", "ValueError: no data"),
        ("sys.exit(0)", "FINISHED", None),
        ("sys.exit(3)", "FAILED", "3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "KILLED", "SIGTERM"),
        ("pass", "FINISHED", None),
    ],
)
def test_how_a_script_ends_is_how_its_run_ends(up, training, ending, status, reason):
    done = training.run(f"run = runstone.start_run(); print(run.run_id, flush=True); {ending}")
    run_id = done.stdout.strip()
    run = wait_for_run(up, run_id, "the run has ended", lambda run: run["status"] != "RUNNING")
    assert run["status"] == status
    assert (reason or "") in (run["status_reason"] or "")
    assert run["end_time"] >= run["start_time"]


def test_a_script_that_ran_while_the_server_was_away_is_delivered_when_it_is_there(start_up, tmp_path):
    first = start_up()
    first.wait_ready()
    assert first.stop() == 0
    training = Training(first.url, tmp_path)
    done = training.run("""
        import time
        began = time.perf_counter()
        with runstone.start_run() as run:
            for i in range(1000): runstone.log_metric("x", i, step=i)
            runstone.log_text("kept", "kept.txt")
        print(run.run_id, runstone.flush(0.2), time.perf_counter() - began < 5)
        """)
    run_id, *told = done.stdout.split()
    assert (done.returncode, told) == (0, ["False", "True"])
    again = Up(first.data, ["--port", str(first.port)], {})
    try:
        again.port, again.url = first.port, first.url
        again.wait_ready()
        wait_for_run(again, run_id, "the run arrived", lambda run: run["status"] == "FINISHED")
        wait_until(
            lambda: get(f"{again.url}/api/v1/runs/{run_id}/artifacts/content?path=kept.txt")[0] == 200,
            "the file",
        )
        assert len(get(f"{again.url}/api/v1/runs/{run_id}/metrics/x")[1]["steps"]) == 1000
    finally:
        again.stop()


def test_two_attempts_of_one_run_are_one_run(up, training):
    run_id = training.run("""
        run = runstone.start_run(run_name="first"); run.log_metric("x", 1, step=1)
        print(run.run_id); runstone.end_run("FAILED")""").stdout.strip()
    done = training.run(f"""
        with runstone.start_run(run_id={run_id!r}) as run: run.log_metric("x", 2, step=2)
        print(run.wait_until_queryable(30))""")
    assert done.stdout.strip() == "True", done.stderr
    run = run_of(up, run_id)
    assert (run["name"], run["status"], run["metrics"]) == ("first", "FINISHED", {"x": 2.0})


def test_ranks_that_share_a_run_write_to_one_run_that_rank_0_ends(up, training):
    run_id = "0190f5d8e4b07c3a9b1d2e3f4a5b6c7d"
    ranks = []
    for rank in range(3):
        training.environment |= {"RUNSTONE_RUN_ID": run_id, "RANK": str(rank)}
        ranks.append(training.start(f"""
            with runstone.start_run() as run:
                for i in range(100): run.log_metric("rank/{rank}", i, step=i)
                run.log_param("shared", "same")
            """))  # fmt: skip
    for process in ranks:
        _out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    run = wait_for_run(up, run_id, "all ranks arrived", lambda run: (
        run["status"] == "FINISHED" and set(run["metrics"]) == {"rank/0", "rank/1", "rank/2"}
        and all(v == 99.0 for v in run["metrics"].values())
    ))  # fmt: skip
    assert run["params"] == {"shared": "same"}
    assert run["completeness"]["complete"]


class SomebodyElse(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    def log_message(self, *_args):
        pass


def test_another_server_at_the_address_is_one_warning_and_never_an_exception(tmp_path):
    server = HTTPServer(("127.0.0.1", 0), SomebodyElse)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        done = Training(f"http://127.0.0.1:{server.server_port}", tmp_path).run("""
            with runstone.start_run() as run:
                run.log_metric("x", 1)
                print(runstone.flush(3))
                print(run.wait_until_queryable(0.5))
            """)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert (done.returncode, done.stdout.split()) == (0, ["False", "False"])
    warnings = [line for line in done.stderr.splitlines() if "run " not in line[:15]]
    assert len(warnings) == 1, done.stderr
    assert "Runstone" in warnings[0]
    assert str(server.server_port) in warnings[0]


def test_the_comparison_shows_what_differs(up, training):
    ids = [
        training.run(f"""
            with runstone.start_run(run_name="run {c}", experiment="Compare") as run:
                run.log_params({{"C": {c}, "same": 1}})
                run.log_metric("accuracy", {c} + 0.5)
                run.log_text("x", "model/model.pkl")
            print(run.run_id, run.wait_until_queryable(30))""").stdout.split()[0]
        for c in (0.1, 0.25)
    ]  # fmt: skip
    compared = subprocess.run(
        [*RUNSTONE, "runs", "compare", *ids],
        env=training.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    differing = [line.split() for line in compared.splitlines() if line.startswith("≠")]
    assert differing == [["≠", "C", "0.1", "0.25"]]
    assert ["same", "1", "1"] in [line.split() for line in compared.splitlines()]
    assert ["accuracy", "0.6", "0.75"] in [line.split() for line in compared.splitlines()]
    assert compared.count("/artifacts/content?path=model/model.pkl") == 2
    listed = subprocess.run(
        [*RUNSTONE, "runs", "list", "--experiment", "Compare", "--json"],
        env=training.environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert {run["run_id"] for run in json.loads(listed)["runs"]} == set(ids)


def test_the_demo_prints_both_runs_side_by_side_and_stops_when_told(installation_folder):
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py"],
        env=os.environ | {"DEMO_EXIT": "1", "DEMO_PORT": str(free_ports(1)[0]), "RUNSTONE_DATA": str(installation_folder)},
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Alice's run logged. Accuracy: 0.8650" in done.stdout
    table = [line.split() for line in done.stdout.splitlines()]
    assert ["≠", "C", "0.1", "0.5"] in table
    assert ["solver", "liblinear", "liblinear"] in table
    assert ["accuracy", "0.865", "0.855"] in table
    assert done.stdout.count("path=model/model.pkl") == 2
    assert done.stdout.rstrip().endswith("runstone up: stopped")


def test_a_person_who_presses_ctrl_c_in_the_demo_stops_all_of_it(installation_folder):
    process = subprocess.Popen(
        [sys.executable, ROOT / "examples" / "demo.py"],
        env=os.environ | {"DEMO_PORT": (port := str(free_ports(1)[0])), "RUNSTONE_DATA": str(installation_folder)},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Serving until Ctrl-C"):
            break
    assert get(f"http://127.0.0.1:{port}/ready")[0] == 200
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    process.stdout.close()
    assert process.wait(60) == 0
    assert "runstone up: stopped" in rest
    assert get(f"http://127.0.0.1:{port}/health")[0] == 0


def test_verify_finds_the_installation_by_its_folder_and_all_well_in_it(up, training):
    done = training.run("""
        with runstone.start_run() as run:
            for step in range(100):
                runstone.log_metric("loss", 1 / (step + 1), step=step)
        print(run.run_id, runstone.flush(30), run.wait_until_queryable(30))
        """)
    run_id, *told = done.stdout.split()
    assert told == ["True", "True"]
    said = subprocess.run(
        [*RUNSTONE, "verify", "--data", str(up.data), "--run", run_id, "--json"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert said.returncode == 0, (said.stdout, said.stderr)
    found = json.loads(said.stdout)
    assert [(one["stream"], one["points"], one["same"]) for one in found["sample"]] == [(run_id, 100, True)]
    assert found["findings"] == [] or all(finding["kind"] == "noted" for finding in found["findings"])


def test_the_ledger_can_be_read_by_whoever_knows_the_servers_address(up, training):
    done = training.run("""
        with runstone.start_run() as run:
            runstone.log_metric("loss", 0.5, step=3)
        print(run.run_id, runstone.flush(30))
        """)
    run_id, told = done.stdout.split()
    assert told == "True"
    said = subprocess.run(
        [*RUNSTONE, "events", "dump", "--run", run_id],
        capture_output=True,
        check=True,
        timeout=60,
        env=training.environment,
    )
    *events, position = [json.loads(line) for line in said.stdout.splitlines()]
    found = [line["event"] for line in events if "event" in line]
    assert found[0]["type"] == "run_started"
    assert [(one["key"], one["step"], one["value"]) for one in found if one["type"] == "point"] == [
        ("loss", 3, 0.5)
    ]
    assert "position" in position
