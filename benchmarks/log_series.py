"""What one ``log_series`` call of a whole numpy array costs, beside MLflow's ``log_batch`` of as many points.

*Single*: everything before has been delivered when the call begins. *Back to back*: nine calls without a
pause, so that the sender and the whole stack work at full speed on the same cores. MLflow takes at most 1000
points a request, so its figure is that of a tenth of the points, times ten.
"""

import argparse
import os
import subprocess
import sys

from mlflow_servers import in_client
from report import report, said_by
from stack import folder, free_port, mlflow_server, remove, runstone_stack
from stack_postgres import new_database

RUNSTONE = """
import json, sys, time
import numpy, runstone
n = int(sys.argv[1])
values, steps = numpy.random.random(n), numpy.arange(n)
run = runstone.start_run()
def calls(pause):
    times = []
    for i in range(int(sys.argv[2])):
        if pause:
            assert run.wait_until_queryable(300)
        a = time.perf_counter()
        run.log_series(f"series {pause} {i}", values, steps=steps)
        times.append(time.perf_counter() - a)
    assert runstone.flush(300)
    times.sort()
    return {"median": times[len(times) // 2], "max": times[-1]}
print(json.dumps({"single": calls(True), "back to back": calls(False)}))
"""

MLFLOW = """
import json, sys, time
import mlflow, numpy
from mlflow.entities import Metric
n = int(sys.argv[1]) // 10
values = numpy.random.random(n)
client, now = mlflow.MlflowClient(), int(time.time() * 1000)
with mlflow.start_run() as run:
    a = time.perf_counter()
    for i in range(0, n, 1000):
        points = [Metric("x", float(v), now, i + k) for k, v in enumerate(values[i:i + 1000])]
        client.log_batch(run.info.run_id, points)
    took = (time.perf_counter() - a) * 10
print(json.dumps({"median": took, "max": took}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1_000_000, help="a call (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=9, help="of Runstone (default: %(default)s)")
    args = parser.parse_args()
    data, port, other = folder("log-series"), free_port(), free_port()
    environment = {
        "RUNSTONE_TRACKING_URI": f"http://127.0.0.1:{port}", "RUNSTONE_SPOOL": str(data / "spool"),
        "RUNSTONE_QUIET": "1",
    }  # fmt: skip
    with runstone_stack(data / "up", port):
        done = subprocess.run(
            [sys.executable, "-c", RUNSTONE, str(args.points), str(args.calls)],
            env=os.environ | environment, stdout=subprocess.PIPE, check=True,
        )  # fmt: skip
        found = {f"runstone, {way}": row for way, row in said_by(done.stdout).items()}
        # only now: for seconds after its first answer MLflow's server still starts processes on all cores
        with mlflow_server(data, other, new_database(data / "up", "mlflow")):
            found["mlflow, log_batch of 1000, a tenth, times ten"] = in_client(
                MLFLOW, f"http://127.0.0.1:{other}", args.points
            )
    remove(data)
    report(
        "log_series",
        [
            {"what": what, "points": args.points, "median ms": row["median"] * 1000,
             "max ms": row["max"] * 1000, "goal": "≤ 50" if what == "runstone, single" else ""}
            for what, row in found.items()
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
