"""How fast one worker carries a topic into Postgres, and how soon a point that is logged can be queried.

*Live*: programs log at a steady rate (100 runs of 20 series), the sender, Kafka, the worker and Postgres at
work beside them; meanwhile single calls are polled for through the read API. *Backlog*: as many points are
logged while the server is away, then it starts. *Params and tags*: likewise, with no points. Each of these
topics is then read from its beginning by one worker into an empty read model (``runstone replay``), while
nothing else happens: that is the throughput from topic to queryable, the start of the process included.
*MLflow*: ``log-batch`` of 1000 over one connection, against a server on the same Postgres.

Points per key and envelope are printed because they decide how much work a point is: each key of an envelope
is a chunk of its own.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import asyncpg
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from mlflow_batches import plain
from report import quantile, report
from stack import RUNSTONE, folder, free_port, mlflow_server, remove, runstone_stack
from stack_postgres import new_database, server_of

import runstone
from runstone_store import generations

EVENTS = "runstone.events"
RUNS, SERIES = 100, 20
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
TICK = os.sysconf("SC_CLK_TCK")

LIVE = f"""
import random, sys, time, runstone
rate, seconds, runs = float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
mine = [runstone.Client().start_run() for _ in range(runs)]
names = [f"series/{{i}}" for i in range({SERIES})]
noise = [random.random() for _ in range(1009)]
began, logged, total, step = time.perf_counter(), 0, int(rate * seconds), 0
while logged < total:
    for run in mine:
        log = run.log_metric
        for name in names:
            log(name, noise[logged % 1009] + step, step)
            logged += 1
        ahead = began + logged / rate - time.perf_counter()
        if ahead > 0: time.sleep(ahead)
    step += 1
for run in mine: run.end()
print(logged)
"""

TEXTS = """
import sys, runstone
total, client = int(sys.argv[1]), runstone.Client()
for number in range(total // 1000):
    run = client.start_run()
    for i in range(500):
        run.log_param(f"param {i}", i / 7)
        run.set_tag(f"tag {i}", f"value {i} of {number}")
    run.end()
"""


def logging_programs(program: str, programs: int, *arguments: object) -> None:
    """Run *program* in so many processes, and wait for them."""
    given = [sys.executable, "-c", program, *map(str, arguments)]
    running = [subprocess.Popen(given, stdout=subprocess.DEVNULL) for _ in range(programs)]
    for process in running:
        if process.wait():
            sys.exit("benchmark: a program that logs failed")


def get(url: str) -> Any:
    with urlopen(url, timeout=60) as answer:
        return json.load(answer)


class Probe(threading.Thread):
    """Single calls, some time apart, each polled for through the API; `seconds` when it was stopped."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._address = address
        self._ending = threading.Event()

    def run(self) -> None:
        with runstone.Client().start_run() as run:
            url = f"{self._address}/api/v1/runs/{run.run_id}/metrics/probe"
            run.log_metric("probe", 0.0, step=0)
            run.wait_until_queryable(60)
            step = 0
            while not self._ending.wait(random.uniform(0.05, 0.15)):
                step += 1
                called = time.perf_counter()
                run.log_metric("probe", 1.0, step=step)
                while len(get(url)["steps"]) <= step:
                    time.sleep(0.002)
                self.seconds.append(time.perf_counter() - called)

    def stop(self) -> list[float]:
        """Ends it; the seconds from call to queryable, ascending."""
        self._ending.set()
        self.join()
        return sorted(self.seconds)


async def arrived(dsn: str, table: str, count: int) -> None:
    """Return when the live read model has so many points, or params."""
    connection = await asyncpg.connect(dsn)
    live = await generations.live(connection)
    what = "coalesce(sum(points), 0)" if table == "latest_metrics" else "count(*)"
    deadline = time.monotonic() + 900
    while await connection.fetchval(f"SELECT {what} FROM {live}.{table}") < count:
        if time.monotonic() > deadline:
            sys.exit(f"benchmark: {count} of {table} have not arrived within 900 s")
        await asyncio.sleep(0.1)
    await connection.close()


@dataclass
class Topic:
    """What the events topic holds. ``per_key``: the median number of points per key and envelope."""

    points: int = 0
    records: int = 0
    size: int = 0
    per_key: float = 0.0


async def read_topic(bootstrap: str, partitions: int) -> Topic:
    """Count what the events topic holds."""
    found, per_key = Topic(), Counter[int]()
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        parts = [TopicPartition(EVENTS, number) for number in range(partitions)]
        consumer.assign(parts)
        await consumer.seek_to_beginning(*parts)
        left = {tp: end for tp, end in (await consumer.end_offsets(parts)).items() if end}
        while left:
            for tp, messages in (await consumer.getmany(timeout_ms=1000)).items():
                for message in messages:
                    value = orjson.loads(message.value)
                    counted = Counter((value.get("points") or {"k": ()})["k"])
                    found.points += counted.total()
                    found.records += value["n"]
                    found.size += len(message.value)
                    per_key.update(counted.values())
                if messages[-1].offset + 1 >= left[tp]:
                    del left[tp]
    finally:
        await consumer.stop()
    found.per_key = quantile(sorted(per_key.elements()), 0.5) if per_key else 0.0
    return found


@dataclass
class Replayed:
    """Seconds from start to caught up; processor seconds of the worker, its memory at most, in bytes."""

    seconds: float
    cpu: float
    memory: int


async def replay(data: Path, dsn: str) -> Replayed:
    """Let one worker read everything into an empty read model, which is dropped afterwards."""
    connection = await asyncpg.connect(dsn)
    began = time.perf_counter()
    said = json.loads(await commanded("replay", "start", "--detach", "--json", "--data", str(data)))
    cpu = memory = 0
    while (await generations.find(connection, said["generation"])).state == "building":
        with contextlib.suppress(OSError, StopIteration):
            cpu, memory = used(said["pid"])
        await asyncio.sleep(0.05)
    seconds = time.perf_counter() - began
    await connection.close()
    await commanded("replay", "drop", said["generation"], "--data", str(data))
    return Replayed(seconds, cpu / TICK, memory)


async def commanded(*arguments: str) -> bytes:
    """What a ``runstone`` command printed."""
    process = await asyncio.create_subprocess_exec(*RUNSTONE, *arguments, stdout=subprocess.PIPE)
    printed, _ = await process.communicate()
    if process.returncode:
        sys.exit(f"benchmark: runstone {' '.join(arguments)} failed")
    return printed


def used(pid: int) -> tuple[int, int]:
    """Ticks of the processor that a process has used, and the most bytes of memory it has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    most = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    return int(fields[11]) + int(fields[12]), most


def replayed_row(what: str, data: Path, address: str, live_rate: float | None) -> dict[str, object]:
    """Replay the topic of a stack: one row."""
    connect = get(f"{address}/api/v1/connect")
    topic = asyncio.run(read_topic(connect["bootstrap_servers"], connect["partitions"]))
    found = asyncio.run(replay(data, server_of(data).dsn()))
    counted = topic.points or topic.records
    return {
        "topic": what, "records": counted, "points per key and envelope": topic.per_key,
        "bytes each in the topic": topic.size / counted, "logged per s": live_rate or "",
        "applied per s": counted / found.seconds,
        "of the live rate": counted / found.seconds / live_rate if live_rate else "",
        "worker µs each": found.cpu / counted * 1e6, "worker MB": found.memory / 1e6,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=125_000, help="points a second (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=40, help="of logging (default: %(default)s)")
    parser.add_argument("--texts", type=int, default=300_000, help="params and tags (default: %(default)s)")
    parser.add_argument("--mlflow-batches", type=int, default=60, help="(default: %(default)s)")
    args = parser.parse_args()
    place, points = folder("ingest"), int(args.rate * args.seconds)
    rows: list[dict[str, object]] = []
    fresh: list[float] = []
    for what in ("live", "backlog", "params and tags"):
        data, port = place / what.replace(" ", "-") / "up", free_port()
        data.parent.mkdir(mode=0o711)
        address = f"http://127.0.0.1:{port}"
        os.environ |= {
            "RUNSTONE_TRACKING_URI": address,
            "RUNSTONE_QUIET": "1",
            "RUNSTONE_SPOOL": str(data.parent / "spool"),
            "RUNSTONE_SPOOL_LIMIT": str(16 << 30),
        }
        if what == "backlog":
            logging_programs(LIVE, 2, 1e9, points / 2e9, RUNS // 2)
        with runstone_stack(data, port):
            if what == "live":
                probe = Probe(address)
                probe.start()
                logging_programs(LIVE, 2, args.rate / 2, args.seconds, RUNS // 2)
                fresh = probe.stop()
            elif what == "params and tags":
                logging_programs(TEXTS, 2, args.texts // 2)
            wanted = ("params", args.texts // 2) if what == "params and tags" else ("latest_metrics", points)
            asyncio.run(arrived(server_of(data).dsn(), *wanted))
            rows.append(replayed_row(what, data, address, args.rate if what == "live" else None))
            if what == "live":
                with mlflow_server(data.parent, other := free_port(), new_database(data, "mlflow")):
                    mlflow = plain(f"http://127.0.0.1:{other}", 1, args.mlflow_batches)
    rows.append({**dict.fromkeys(rows[0], ""), "topic": "mlflow, log-batch of 1000", "applied per s": mlflow})
    for row in rows[:2]:
        row["times mlflow"] = float(str(row["applied per s"])) / mlflow
    remove(place)
    report("ingest", rows)
    report("ingest_freshness", [{
        "what": f"call to queryable at {args.rate:,} points/s", "calls": len(fresh),
        **{f"{q} ms": quantile(fresh, at) * 1000 for q, at in QUANTILES.items()},
        "goal": "p50 ≤ 50, p99 ≤ 300",
    }])  # fmt: skip


if __name__ == "__main__":
    main()
