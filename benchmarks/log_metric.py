"""What one ``log_metric`` call costs the training loop.

Runstone with its sender at work, with no server at all, and from four threads; MLflow synchronous and
asynchronous against its own server; and, as the floor, the same loop around a function that does nothing,
and four threads that append a record to a plain bytearray under a lock.
Every call is timed on its own; the timer's own cost is part of every figure. *A core of its own*: the
measured thread has the first core, the sender and the whole stack the others, as if the servers were
machines elsewhere; otherwise all of them compete for all cores, and the tail is the scheduler's. MLflow's
server keeps its data in the Postgres of an idle stack.
"""

import argparse
import os
import subprocess
import sys
import textwrap

from report import report, said_by
from stack import MLFLOW_PYTHON, folder, free_port, mlflow_server, remove, runstone_stack
from stack_postgres import new_database

LOOP = """
import json, sys, threading, time
from array import array
calls, threads = int(sys.argv[1]), int(sys.argv[2])
{setup}
def loop(found):
    clock = time.perf_counter_ns
    for i in range(calls // threads):
        a = clock()
        {call}
        found.append(clock() - a)
all_found = [array("q") for _ in range(threads)]
workers = [threading.Thread(target=loop, args=(found,)) for found in all_found[1:]]
began = time.perf_counter()
for worker in workers: worker.start()
loop(all_found[0])
for worker in workers: worker.join()
looped = time.perf_counter() - began
{drain}
drained = time.perf_counter() - began
import numpy
ns = numpy.sort(numpy.concatenate([numpy.asarray(found) for found in all_found]))
q = lambda p: float(ns[min(len(ns) - 1, int(p * len(ns)))]) / 1000
print(json.dumps({{"calls": len(ns), "p50": q(.5), "p99": q(.99), "p99.99": q(.9999), "max": q(1),
                  "over_1ms": int((ns > 1_000_000).sum()), "drained_per_s": len(ns) / drained}}))
"""

RUNSTONE_SETUP = "import runstone; run = runstone.start_run(); log = runstone.log_metric; log('loss', 0.0, 0)"
BYTEARRAY_SETUP = """
import struct
lock, memory, at, pack = threading.Lock(), bytearray(1 << 20), 0, struct.Struct("<IIHHIQQqd").pack_into
def log(key, value, step):
    global at
    with lock:
        pack(memory, at, 0, 0, 0, 0, 0, 0, 0, step, value)
        at = (at + 48) % 1_000_000
"""
OWN_CORE_SETUP = (
    RUNSTONE_SETUP
    + """
import os
assert runstone.flush(60)
os.sched_setaffinity(0, {0})
"""
)
MLFLOW_SETUP = "import mlflow; run = mlflow.start_run(); log = mlflow.log_metric; log('loss', 0.0, step=0)"


def measure(
    what: str, python: str, environment: dict[str, str], calls: int, threads: int, **parts: str
) -> dict[str, object]:
    """One row: the distribution of *calls* calls in a process of its own."""
    program = LOOP.format(**{"setup": "", "drain": "", **parts})
    done = subprocess.run(
        [python, "-c", textwrap.dedent(program), str(calls), str(threads)],
        env=os.environ | environment, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    found = said_by(done.stdout)
    return {
        "what": what, "calls": found["calls"], "p50 µs": found["p50"], "p99 µs": found["p99"],
        "p99.99 µs": found["p99.99"], "max µs": found["max"], "calls > 1 ms": found["over_1ms"],
        "points/s, drained": found["drained_per_s"],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000_000, help="of Runstone (default: %(default)s)")
    parser.add_argument(
        "--mlflow-calls", type=int, default=300, help="synchronous ones (default: %(default)s)"
    )
    args = parser.parse_args()
    data, rows = folder("log-metric"), []
    quiet = {"RUNSTONE_QUIET": "1", "RUNSTONE_SPOOL_LIMIT": str(8 << 30)}
    here = sys.executable
    rows.append(measure("a function that does nothing", here, {}, args.calls, 1,
                        setup="log = lambda k, v, step=0: None", call="log('loss', 0.5, i)"))  # fmt: skip
    rows.append(measure("a plain bytearray, threads: 4", here, {}, args.calls, 4,
                        setup=BYTEARRAY_SETUP, call="log('loss', 0.5, i)"))  # fmt: skip
    with runstone_stack(data / "up", port := free_port()):
        connected = quiet | {
            "RUNSTONE_TRACKING_URI": f"http://127.0.0.1:{port}",
            "RUNSTONE_SPOOL": str(data / "spool"),
        }
        parts = {
            "setup": RUNSTONE_SETUP,
            "call": "log('loss', 0.5, i)",
            "drain": "assert runstone.flush(300)",
        }
        rows += [
            measure(
                f"runstone, sender at work, threads: {threads}", here, connected, args.calls, threads, **parts
            )
            for threads in (1, 4)
        ]
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores - {0})  # which the stack and the sender inherit
    with runstone_stack(data / "up", port):
        own = parts | {"setup": OWN_CORE_SETUP}
        rows.append(measure("runstone, sender at work, a core of its own", here, connected, args.calls, 1,
                            **own))  # fmt: skip
    os.sched_setaffinity(0, cores)
    down = quiet | {
        "RUNSTONE_TRACKING_URI": f"http://127.0.0.1:{free_port()}",
        "RUNSTONE_SPOOL": str(data / "down"),
    }
    rows.append(measure("runstone, server down", here, down, args.calls, 1,
                        setup=RUNSTONE_SETUP, call="log('loss', 0.5, i)"))  # fmt: skip
    stack = data / "mlflow-postgres"
    with (
        runstone_stack(stack, free_port()),
        mlflow_server(data, port := free_port(), new_database(stack, "mlflow")),
    ):
        tracked = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
        rows.append(measure("mlflow, synchronous", str(MLFLOW_PYTHON), tracked, args.mlflow_calls, 1,
                            setup=MLFLOW_SETUP, call="log('loss', 0.5, step=i)"))  # fmt: skip
        rows.append(measure("mlflow, asynchronous", str(MLFLOW_PYTHON), tracked, args.mlflow_calls * 5, 1,
                            setup=MLFLOW_SETUP, call="log('loss', 0.5, step=i, synchronous=False)",
                            drain="mlflow.flush_async_logging()"))  # fmt: skip
    remove(data)
    report("log_metric", rows)


if __name__ == "__main__":
    main()
