"""What one synchronous call of MLflow's client takes, from the call to its return.

``log_metric``, ``log_param`` and a whole ``start_run`` with its ``end_run``, against a server that does
nothing, Runstone and MLflow's own. Every call is timed on its own.
"""

import argparse

from mlflow_servers import in_client, three_servers
from report import quantile, report

PROGRAM = """
import json, sys, time, mlflow
calls, clock = int(sys.argv[1]), time.perf_counter
found = {"log_metric": [], "log_param": [], "start_run + end_run": []}
def timed(what, call, *args, **kwargs):
    began = clock()
    call(*args, **kwargs)
    found[what].append((clock() - began) * 1000)
def whole_run():
    mlflow.start_run(); mlflow.end_run()
with mlflow.start_run():
    mlflow.log_metric("warm", 1.0); mlflow.log_param("warm", 1)
    for i in range(calls): timed("log_metric", mlflow.log_metric, "loss", 1 / (i + 1), step=i)
    for i in range(calls): timed("log_param", mlflow.log_param, f"p{i}", i)
whole_run()
for i in range(calls // 4): timed("start_run + end_run", whole_run)
print(json.dumps(found))
"""

GOALS = {"log_metric": "p50 ≤ 5, ≤ 1/10", "log_param": "p50 ≤ 10", "start_run + end_run": "p50 ≤ 40"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2000, help="of Runstone (default: %(default)s)")
    parser.add_argument("--mlflow-calls", type=int, default=400, help="of MLflow (default: %(default)s)")
    args = parser.parse_args()
    with three_servers("mlflow-calls") as servers:
        found = {
            server: in_client(PROGRAM, address, args.mlflow_calls if server == "mlflow" else args.calls)
            for server, address in servers.addresses.items()
        }
    rows = []
    for what, goal in GOALS.items():
        medians = {server: quantile(sorted(times[what]), 0.5) for server, times in found.items()}
        for server, times in found.items():
            ordered = sorted(times[what])
            rows.append({
                "call": what, "server": server, "calls": len(ordered), "p50 ms": quantile(ordered, 0.5),
                "p90 ms": quantile(ordered, 0.9), "p99 ms": quantile(ordered, 0.99), "max ms": ordered[-1],
                "of mlflow's p50": medians[server] / medians["mlflow"],
                "goal": goal if server == "runstone" else "",
            })  # fmt: skip
    report("mlflow_calls", rows)


if __name__ == "__main__":
    main()
