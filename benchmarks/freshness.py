"""From the call to the query: how soon, and how many per second.

*Idle*: single ``log_metric`` calls, some time apart, each polled for through the read API until it is there.
*Paced*: a training loop logs at a steady rate for some seconds, over one series and over 100; the sender,
Kafka, the worker and Postgres share the machine with it. Printed are the rate that was logged, the rate
from the first call until the last point could be queried, and how long after the last call that was.
*MLflow*, in the same run and against a server with the same Postgres: ``log_metric`` until
``get_metric_history`` has it, and ``log_batch`` of 1000 points over the same seconds.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from urllib.request import urlopen

from report import quantile, report, said_by
from stack import MLFLOW_PYTHON, folder, free_port, mlflow_server, remove, runstone_stack
from stack_postgres import new_database

import runstone

TRAINING = """
import sys, time, runstone
rate, seconds, series = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
run = runstone.start_run()
names = [f"series/{i}" for i in range(series)]
log, clock = run.log_metric, time.perf_counter
per_burst = max(1, rate // 1000)
began, logged, total = clock(), 0, int(rate * seconds)
while logged < total:
    for _ in range(per_burst):
        log(names[logged % series], 0.5 + logged, logged // series)
        logged += 1
    ahead = began + logged / rate - clock()
    if ahead > 0: time.sleep(ahead)
import json
print(json.dumps({"run_id": run.run_id, "began": began, "ended": clock(), "logged": logged}), flush=True)
"""

MLFLOW = """
import json, random, sys, time, mlflow
from mlflow.entities import Metric
seconds, probes = float(sys.argv[1]), int(sys.argv[2])
client, run = mlflow.MlflowClient(), mlflow.start_run()
fresh = []
for i in range(probes):
    time.sleep(random.uniform(.05, .15))
    a = time.perf_counter()
    client.log_metric(run.info.run_id, "idle", 1.0, step=i)
    while len(client.get_metric_history(run.info.run_id, "idle")) <= i: pass
    fresh.append(time.perf_counter() - a)
began, logged = time.perf_counter(), 0
while time.perf_counter() - began < seconds:
    client.log_batch(run.info.run_id, [Metric("m", 1.0, 0, logged + i) for i in range(1000)])
    logged += 1000
print(json.dumps({"fresh": fresh, "rate": logged / (time.perf_counter() - began)}))
"""


QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


def get(url: str) -> dict[str, list[dict[str, int]]]:
    with urlopen(url, timeout=30) as answer:
        found: dict[str, list[dict[str, int]]] = json.load(answer)
        return found


def points(address: str, run_id: str) -> int:
    """How many points of the run can be queried now."""
    try:
        return sum(metric["points"] for metric in get(f"{address}/api/v1/runs/{run_id}/metrics")["metrics"])
    except OSError:
        return 0


def idle(address: str, probes: int) -> list[float]:
    """Seconds from each call until its point is answered by the API."""
    seconds = []
    with runstone.start_run() as run:
        url = f"{address}/api/v1/runs/{run.run_id}/metrics/idle"
        run.log_metric("idle", 0.0, step=0)
        run.wait_until_queryable(30)
        for step in range(1, probes + 1):
            time.sleep(random.uniform(0.05, 0.15))
            called = time.perf_counter()
            run.log_metric("idle", 1.0, step=step)
            while len(get(url)["steps"]) <= step:
                pass
            seconds.append(time.perf_counter() - called)
    return sorted(seconds)


def paced(
    address: str, environment: dict[str, str], rate: int, seconds: float, series: int
) -> dict[str, object]:
    """One row: a steady rate over *series* series, followed until its last point is there."""
    done = subprocess.run([sys.executable, "-c", TRAINING, str(rate), str(seconds), str(series)],
                          env=environment, stdout=subprocess.PIPE, check=True)  # fmt: skip
    said = said_by(done.stdout)
    deadline = time.perf_counter() + 300
    while points(address, said["run_id"]) < said["logged"]:
        if time.perf_counter() > deadline:
            sys.exit("benchmark: the points did not arrive within 300 s")
        time.sleep(0.01)
    arrived = time.perf_counter()
    return {
        "what": f"runstone, paced, {series} series",
        "points": said["logged"],
        "logged per s": said["logged"] / (said["ended"] - said["began"]),
        "queryable per s": said["logged"] / (arrived - said["began"]),
        "last one after ms": (arrived - said["ended"]) * 1000,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rate", type=int, default=110_000, help="points per second to log (default: %(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=20, help="how long (default: %(default)s)")
    parser.add_argument("--probes", type=int, default=200, help="idle calls (default: %(default)s)")
    args = parser.parse_args()
    data, port = folder("freshness"), free_port()
    address = f"http://127.0.0.1:{port}"
    os.environ |= {
        "RUNSTONE_TRACKING_URI": address,
        "RUNSTONE_QUIET": "1",
        "RUNSTONE_SPOOL": str(data / "spool"),
    }
    with runstone_stack(data / "up", port):
        fresh = idle(address, args.probes)
        rows = [paced(address, dict(os.environ), args.rate, args.seconds, series) for series in (1, 100)]
        with mlflow_server(data, mlflow_port := free_port(), new_database(data / "up", "mlflow")):
            program = [str(MLFLOW_PYTHON), "-c", MLFLOW, str(args.seconds), str(args.probes // 4)]
            done = subprocess.run(program,
                                  env=os.environ | {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{mlflow_port}"},
                                  stdout=subprocess.PIPE, check=True)  # fmt: skip
            said = said_by(done.stdout)
    remove(data)
    measured = (("runstone, idle", fresh), ("mlflow, log_metric", sorted(said["fresh"])))
    report("freshness_idle", [latency(what, seconds) for what, seconds in measured])
    rows.append({
        "what": "mlflow, log_batch of 1000",
        "points": said["rate"] * args.seconds,
        "logged per s": said["rate"],
        "queryable per s": said["rate"],
        "last one after ms": 0.0,
    })  # fmt: skip
    for row in rows:
        row["times mlflow"] = float(str(row["queryable per s"])) / said["rate"]
    report("freshness_paced", rows)


def latency(what: str, seconds: list[float]) -> dict[str, object]:
    """One row of the idle table: quantiles in ms of ascending *seconds*."""
    found: dict[str, object] = {"what": what, "calls": len(seconds)}
    return found | {f"{name} ms": quantile(seconds, q) * 1000 for name, q in QUANTILES.items()}


if __name__ == "__main__":
    main()
