"""Millions of points logged while server and broker are away: memory, the spool, and draining it afterwards.

A training process logs a first point with everything up; then the whole stack is stopped, the rest is
logged, and the stack is started again. Watched meanwhile: the resident memory of the training process and of
the sender, from after the first point. *Drained* is until the broker has acknowledged the last record,
*queryable* until the worker has applied it. Then each series is counted, and its completeness asked for.

The bytes of a point: in the spool as it lies there, in the topic as its log segments lie on the broker's
disk (nobody compresses it), and what the same records would be with gzip. MLflow's client against a server
that is away is asked how long one ``log_metric`` holds up the training before it raises.
"""

import argparse
import asyncio
import json
import os
import select
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

from aiokafka import AIOKafkaConsumer, TopicPartition
from report import report
from stack import MLFLOW_PYTHON, folder, free_port, remove, runstone_stack

TRAINING = """
import sys, time, runstone
points, series = int(sys.argv[1]), int(sys.argv[2])
run = runstone.start_run()
names = [f"series/{i}" for i in range(series)]
log = run.log_metric
log("first", 1.0)
assert runstone.flush(60)
print(run.run_id, flush=True)
sys.stdin.readline()
began = time.perf_counter()
for i in range(points):
    log(names[i % series], i * 0.001, i // series)
print(time.perf_counter() - began, flush=True)
sys.stdin.readline()
assert runstone.flush(3600)
print(time.perf_counter() - began, flush=True)
"""

MLFLOW = """
import sys, time, mlflow
client = mlflow.MlflowClient()
a = time.perf_counter()
try: client.log_metric("0" * 32, "x", 1.0)
except Exception as wrong: print(time.perf_counter() - a, flush=True)
"""

MIB = 1 << 20


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def sender_of(spool: Path) -> int:
    """The pid of the spool's sender."""
    [said] = spool.glob("*/sender.json")
    return int(json.loads(said.read_bytes())["pid"])


def answers(process: "subprocess.Popen[str]", watched: dict[str, int], peaks: dict[str, int]) -> str:
    """The next line of *process*; *peaks* follows the memory of the *watched* processes meanwhile."""
    assert process.stdout is not None
    while not select.select([process.stdout], [], [], 0.05)[0]:
        for what, pid in watched.items():
            peaks[what] = max(peaks.get(what, 0), memory(pid))
    line = process.stdout.readline()
    assert line, "the training process has failed"
    return line


def said_to(process: "subprocess.Popen[str]") -> None:
    """Let the training process go on."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def allocated(files: Iterator[Path]) -> int:
    """Bytes of *files* on the disk."""
    return sum(file.stat().st_blocks * 512 for file in files)


def segments(data: Path) -> Iterator[Path]:
    """The log segments of the events topic."""
    return data.glob("kafka/runstone.events-*/*.log")


async def compressed_bytes(servers: str, partitions: int) -> int:
    """Bytes of the values of the events topic if each record were compressed with gzip's level 6."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    found = [TopicPartition("runstone.events", n) for n in range(partitions)]
    consumer.assign(found)
    ends = await consumer.end_offsets(found)
    total = 0
    while any([await consumer.position(partition) < end for partition, end in ends.items()]):
        for records in (await consumer.getmany(timeout_ms=1000)).values():
            total += sum(len(zlib.compress(record.value, 6)) for record in records)
    await consumer.stop()
    return total


def get(url: str) -> dict:  # type: ignore[type-arg]
    """The JSON that *url* answers."""
    with urlopen(url, timeout=60) as answer:
        found: dict = json.load(answer)  # type: ignore[type-arg]
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--points", type=int, default=20_000_000, help="logged meanwhile (default: %(default)s)"
    )
    parser.add_argument("--series", type=int, default=20, help="of the run (default: %(default)s)")
    args = parser.parse_args()
    data, port = folder("broker-away"), free_port()
    spool, address = data / "spool", f"http://127.0.0.1:{port}"
    environment = os.environ | {
        "RUNSTONE_TRACKING_URI": address, "RUNSTONE_SPOOL": str(spool), "RUNSTONE_QUIET": "1",
        "RUNSTONE_SPOOL_LIMIT": "8G",
    }  # fmt: skip
    peaks: dict[str, int] = {}
    with runstone_stack(data / "up", port):
        training = subprocess.Popen(
            [sys.executable, "-c", TRAINING, str(args.points), str(args.series)],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        run_id = answers(training, {}, {}).strip()
        watched = {"training process": training.pid, "sender": sender_of(spool)}
        before = {what: memory(pid) for what, pid in watched.items()}
        log_before = sum(file.stat().st_size for file in segments(data / "up"))
    mlflow = subprocess.Popen(
        [str(MLFLOW_PYTHON), "-c", MLFLOW], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=environment | {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}"},
    )  # fmt: skip
    said_to(training)
    logged_s = float(answers(training, watched, peaks))
    spooled = allocated(spool.glob("*/sessions/*/*.seg"))
    with runstone_stack(data / "up", port):
        began = time.perf_counter()
        said_to(training)
        answers(training, watched, peaks)
        drained_s = time.perf_counter() - began
        metrics: list[dict[str, int]] = []
        while sum(metric["points"] for metric in metrics) < args.points + 1:
            metrics = get(f"{address}/api/v1/runs/{run_id}/metrics")["metrics"]
            time.sleep(0.1)
        queryable_s = time.perf_counter() - began
        run = get(f"{address}/api/v1/runs/{run_id}")
        logs = sum(file.stat().st_size for file in segments(data / "up")) - log_before
        connect = get(f"{address}/api/v1/connect")
        compressed = asyncio.run(compressed_bytes(connect["bootstrap_servers"], connect["partitions"]))
    training.wait(60)
    exactly = sorted(metric["points"] for metric in metrics[:-1] if metric["key"] != "first")
    once = run["completeness"]["complete"] and set(exactly) <= {args.points // args.series}
    raised, _ = mlflow.communicate(timeout=900)
    remove(data)
    rows = [
        ("points logged while away", args.points, ""),
        ("… logged per second", args.points / logged_s, ""),
        *((f"{what}: resident MiB before", before[what] / MIB, "") for what in watched),
        *((f"{what}: MiB grown at most", (peaks[what] - before[what]) / MIB, "≤ 64") for what in watched),
        ("drained, points/s", args.points / drained_s, "≥ 100,000"),
        ("queryable, points/s", args.points / queryable_s, ""),
        ("each point there exactly once", "yes" if once else "NO", "yes"),
        ("spool, bytes a point", spooled / args.points, ""),
        ("topic, bytes a point", logs / args.points, ""),
        ("topic with gzip, bytes a point", compressed / args.points, ""),
        ("mlflow, server away: log_metric raises after s", float(raised or b"nan"), ""),
    ]
    report("broker_away", [{"what": what, "found": found, "goal": goal} for what, found, goal in rows])


if __name__ == "__main__":
    main()
