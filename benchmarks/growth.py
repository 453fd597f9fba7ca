"""How cost grows with the number of points: ingest, bytes on disk, queries of the latest values.

Points of 100 runs with 20 series each, values noisy, times a second apart and up to 5 ms off, come in series
of 100 points a call. At each size: the rate from the first call until the last point of that stage could be
queried; then, when the worker has merged what waits and after a plain ``VACUUM``, the bytes of both tables of
chunks, indexes and TOAST included (``pg_total_relation_size``), and of the whole database, both a point; then
how long the read API takes for one run with the latest value of each of its metrics, and for a search over
these among all runs. *MLflow*: the table of its metrics after batches of 1000 of the same kind.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.request import Request, urlopen

import asyncpg
from ingest import RUNS, SERIES, arrived, get
from mlflow_batches import plain
from report import quantile, report
from stack import folder, free_port, mlflow_server, remove, runstone_stack
from stack_postgres import new_database, server_of

from runstone_store import generations

POINTS_A_CALL = 100

PROGRAM = f"""
import sys, numpy, runstone
known, rounds, first = sys.argv[3:], int(sys.argv[1]), int(sys.argv[2])
rng = numpy.random.default_rng(first)
runs = [runstone.Client().start_run(run_id=run_id or None) for run_id in known]
for round in range(first, first + rounds):
    steps = numpy.arange(round * {POINTS_A_CALL}, (round + 1) * {POINTS_A_CALL})
    for run in runs:
        for key in range({SERIES}):
            times = 1_700_000_000_000 + 1000 * steps + rng.integers(-5, 6, {POINTS_A_CALL})
            run.log_series(f"series/{{key}}", rng.normal(size={POINTS_A_CALL}), steps, times)
"""


async def merged(dsn: str) -> tuple[int, int, float]:
    """Wait until nothing waits to be merged, and vacuum; bytes of the chunks, of the database, seconds."""
    began = time.perf_counter()
    connection = await asyncpg.connect(dsn)
    live = await generations.live(connection)
    while await connection.fetchval(f"SELECT count(*) FROM {live}.metric_chunks"):
        if time.perf_counter() - began > 3600:
            sys.exit("benchmark: chunks are not merged within an hour")
        await asyncio.sleep(1)
    seconds = time.perf_counter() - began
    await connection.execute("VACUUM")
    tables = [f"{live}.metric_chunks", f"{live}.merged_chunks"]
    sizes = [await connection.fetchval("SELECT pg_total_relation_size($1::regclass)", t) for t in tables]
    whole = await connection.fetchval("SELECT pg_database_size(current_database())")
    await connection.close()
    return sum(sizes), whole, seconds


async def size_of_metrics(dsn: str) -> int:
    """Bytes of MLflow's table of metrics, after a vacuum."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("VACUUM metrics")
    size: int = await connection.fetchval("SELECT pg_total_relation_size('metrics')")
    await connection.close()
    return size


def search(address: str, condition: str = "") -> list[dict[str, Any]]:
    """The runs that match."""
    body = json.dumps({"filter": condition, "limit": RUNS}).encode()
    asked = Request(f"{address}/api/v1/runs/search", body, {"Content-Type": "application/json"})
    with urlopen(asked, timeout=60) as answer:
        found: list[dict[str, Any]] = json.load(answer)["runs"]
        return found


def median_ms(ask: Callable[[], object], times: int = 50) -> float:
    """Of so many answers."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        ask()
        took.append(time.perf_counter() - began)
    return quantile(sorted(took), 0.5) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--points",
        type=float,
        nargs="+",
        default=[1e6, 1e7, 1e8],
        help="ascending (default: 1e6 1e7 1e8)",
    )
    parser.add_argument("--mlflow-batches", type=int, default=100, help="(default: %(default)s)")
    args = parser.parse_args()
    data, port, rows = folder("growth"), free_port(), list[dict[str, Any]]()
    address, dsn = f"http://127.0.0.1:{port}", ""
    os.environ |= {
        "RUNSTONE_TRACKING_URI": address,
        "RUNSTONE_QUIET": "1",
        "RUNSTONE_SPOOL": str(data / "spool"),
        "RUNSTONE_SPOOL_LIMIT": str(16 << 30),
    }
    run_ids, rounds = [""] * RUNS, 0
    with runstone_stack(data / "up", port):
        dsn = server_of(data / "up").dsn()
        for size in args.points:
            more = round(size / (RUNS * SERIES * POINTS_A_CALL)) - rounds
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", PROGRAM, str(more), str(rounds), *run_ids], check=True)
            rounds += more
            points = rounds * RUNS * SERIES * POINTS_A_CALL
            asyncio.run(arrived(dsn, "latest_metrics", points))
            took = time.perf_counter() - began
            chunks, whole, merging = asyncio.run(merged(dsn))
            run_ids = [run["run_id"] for run in search(address)]
            rows.append({
                "points": points, "ingest, points/s": more * RUNS * SERIES * POINTS_A_CALL / took,
                "merged after s": merging, "bytes a point, chunks": chunks / points,
                "bytes a point, database": whole / points,
                "latest values of a run, ms": median_ms(partial(get, f"{address}/api/v1/runs/{run_ids[0]}")),
                "search by latest value, ms": median_ms(partial(search, address, "metrics.`series/7` > 0.5")),
            })  # fmt: skip
            print(rows[-1], file=sys.stderr)
        with mlflow_server(data, other := free_port(), new_database(data / "up", "mlflow")):
            plain(f"http://127.0.0.1:{other}", 1, args.mlflow_batches)
            size = asyncio.run(size_of_metrics(server_of(data / "up").dsn("mlflow")))
    remove(data)
    last = {**dict.fromkeys(rows[0], ""), "points": "mlflow, log-batch of 1000"}
    rows.append(last | {"bytes a point, chunks": size / (args.mlflow_batches * 1000)})
    report("growth", rows)


if __name__ == "__main__":
    main()
