"""``mlflow.log_metric`` through the plug-in's store, beside a store that does nothing.

The difference is what the plug-in adds to MLflow's own path through its client. Every call is timed on its
own, in a process that has the mlflow package and the plug-in, with the sender at work.
"""

import argparse

from mlflow_servers import in_client
from report import report
from stack import folder, free_port, remove, runstone_stack

PROGRAM = """
import json, sys, time
from array import array
import mlflow
from mlflow.entities import Experiment, Run, RunData, RunInfo
from mlflow.store.tracking.abstract_store import AbstractStore
from mlflow.tracking._tracking_service import utils
class Nothing(AbstractStore):
    __abstractmethods__ = frozenset()
    def __init__(self, store_uri=None, artifact_uri=None): super().__init__()
    def get_experiment(self, experiment_id): return Experiment("0", "Default", "file:///nowhere", "active")
    def get_experiment_by_name(self, name): return self.get_experiment("0")
    def create_run(self, experiment_id, user_id, start_time, tags, run_name):
        info = RunInfo(run_id="0" * 32, experiment_id="0", user_id=user_id, status="RUNNING",
                       start_time=start_time, end_time=None, lifecycle_stage="active", run_name="nothing")
        return Run(info, RunData())
    def get_run(self, run_id): return self.create_run("0", "", 0, [], "")
    def update_run_info(self, *args, **kwargs): return self.get_run("").info
    def log_metric(self, run_id, metric): pass
    def log_batch(self, run_id, metrics, params, tags): pass
Nothing.__abstractmethods__ = frozenset()
utils._tracking_store_registry.register("nothing", Nothing)
calls, clock = int(sys.argv[1]), time.perf_counter_ns
found = array("q")
with mlflow.start_run():
    mlflow.log_metric("loss", 0.0, step=0)
    for i in range(calls):
        a = clock()
        mlflow.log_metric("loss", 0.5, step=i)
        found.append(clock() - a)
ns = sorted(found)
q = lambda p: ns[min(len(ns) - 1, int(p * len(ns)))] / 1000
print(json.dumps({"p50": q(.5), "p90": q(.9), "p99": q(.99), "max": ns[-1] / 1000}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000, help="each (default: %(default)s)")
    args = parser.parse_args()
    data, port, rows = folder("mlflow-plugin"), free_port(), []
    more = {"RUNSTONE_QUIET": "1", "RUNSTONE_SPOOL": str(data / "spool")}
    with runstone_stack(data / "up", port):
        found = {
            "a store that does nothing": in_client(PROGRAM, "nothing://", args.calls),
            "the plug-in, sender at work": in_client(
                PROGRAM, f"runstone://127.0.0.1:{port}", args.calls, **more
            ),
        }
    down = {"RUNSTONE_QUIET": "1", "RUNSTONE_SPOOL": str(data / "down")}
    found["the plug-in, server down"] = in_client(
        PROGRAM, f"runstone://127.0.0.1:{free_port()}", args.calls, **down
    )
    remove(data)
    floor = float(str(found["a store that does nothing"]["p50"]))
    for what, times in found.items():
        rows.append({
            "what": what, "calls": args.calls, **{f"{name} µs": value for name, value in times.items()},
            "p50 more µs": float(str(times["p50"])) - floor, "goal": "≤ 20" if "plug-in" in what else "",
        })  # fmt: skip
    report("mlflow_plugin", rows)


if __name__ == "__main__":
    main()
