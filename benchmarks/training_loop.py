"""What logging adds to a training loop: scikit-learn's ``SGDClassifier.partial_fit``, ten metrics a step.

One process; short blocks of steps without logging, with Runstone, with MLflow synchronous and asynchronous
follow one another in random order, so that a machine that becomes slower slows all of them. The figures are
the mean differences to the blocks without logging of the same rounds, CPU time of the whole process and
wall clock, with the 95 % interval of a bootstrap over the rounds. What a block has put off is waited for
before the next one begins.
"""

import argparse
import time

from mlflow_servers import in_client
from report import report
from stack import folder, free_port, mlflow_server, remove, runstone_stack
from stack_postgres import new_database

SETTLES = 20
"""Seconds after its first answer for which MLflow's server still starts processes on all cores."""

PROGRAM = """
import json, os, random, sys, time
import mlflow, numpy, runstone
from sklearn.linear_model import SGDClassifier
rows, steps, rounds, slow = (int(a) for a in sys.argv[1:5])
rng = numpy.random.default_rng(0)
x = rng.random((rows, 50)); y = (x.sum(axis=1) > 25).astype(int)
model = SGDClassifier(); model.partial_fit(x, y, classes=[0, 1])
run = runstone.start_run()
mlflow.start_run()
client = mlflow.MlflowClient()
step = 0
def metrics():
    return {f"metric {i}": float(step + i) for i in range(10)}
def nothing(): metrics()
def with_runstone(): run.log_metrics(metrics(), step=step)
def with_mlflow(): mlflow.log_metrics(metrics(), step=step)
def with_mlflow_asynchronous(): mlflow.log_metrics(metrics(), step=step, synchronous=False)
ways = {"nothing": nothing, "runstone": with_runstone, "mlflow, synchronous": with_mlflow,
        "mlflow, asynchronous": with_mlflow_asynchronous}
def block(log, steps):
    global step
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        model.partial_fit(x, y)
        log()
        step += 1
    return (time.process_time() - cpu) / steps, (time.perf_counter() - wall) / steps
for log in ways.values(): block(log, 3)
found = {way: [] for way in ways}
for _ in range(rounds):
    order = list(ways); random.shuffle(order)
    for way in order:
        found[way].append(block(ways[way], slow if way == "mlflow, synchronous" else steps))
        if way == "mlflow, asynchronous":
            mlflow.flush_async_logging()  # its own cost, nobody else's
        assert runstone.flush(60)
out = {}
base = numpy.array(found["nothing"])
for way, values in found.items():
    added = numpy.array(values) - base if way != "nothing" else base
    means = added[rng.integers(0, rounds, (2000, rounds))].mean(axis=1)
    low, high = numpy.quantile(means, [.025, .975], axis=0)
    out[way] = {"cpu": [added[:, 0].mean(), low[0], high[0]], "wall": [added[:, 1].mean(), low[1], high[1]]}
print(json.dumps(out)); sys.stdout.flush()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="of all ways (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=200, help="a block (default: %(default)s)")
    args = parser.parse_args()
    data, port, other, rows = folder("training-loop"), free_port(), free_port(), []
    with (
        runstone_stack(data / "up", port),
        mlflow_server(data, other, new_database(data / "up", "mlflow")),
    ):
        time.sleep(SETTLES)
        for samples, steps, goal in ((200, args.steps, "≤ 30 µs of CPU"), (60_000, 10, "≤ 0.5 % of a step")):
            found = in_client(
                PROGRAM, f"http://127.0.0.1:{other}", samples, steps, args.rounds, 5,
                RUNSTONE_TRACKING_URI=f"http://127.0.0.1:{port}", RUNSTONE_SPOOL=str(data / "spool"),
                RUNSTONE_QUIET="1",
            )  # fmt: skip
            step_cpu, step_wall = found["nothing"]["cpu"][0], found["nothing"]["wall"][0]
            for way, row in found.items():
                rows.append({
                    "a step of": f"{step_wall * 1000:.2f} ms",
                    "what": way if way != "nothing" else "the step itself",
                    "CPU µs added": interval(row["cpu"]), "of the step's CPU": share(row["cpu"], step_cpu),
                    "wall µs added": interval(row["wall"]), "of the step": share(row["wall"], step_wall),
                    "goal": goal if way == "runstone" else "",
                })  # fmt: skip
    remove(data)
    report("training_loop", rows)


def interval(found: list[float]) -> str:
    """Mean and interval in µs."""
    mean, low, high = (value * 1e6 for value in found)
    return f"{mean:,.1f} ({low:,.1f} … {high:,.1f})"


def share(found: list[float], whole: float) -> str:
    """The mean as a part of *whole*."""
    return f"{found[0] / whole:.2%}"


if __name__ == "__main__":
    main()
