"""Many clients at a steady pace that does not wait for answers: latency from the moment a request was due.

64 clients, each with a run of its own, 150 requests a second in all. A client writes and then reads what it
wrote, in turn as a metric of the run, as a history, and by a search for a tag; the read must hold the
write. A request that is late because the one before it took long counts from when it should have begun.
"""

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from mlflow_servers import three_servers
from report import quantile, report

Json = dict[str, Any]


class Client:
    """One client: its run, what it wrote last, and the latencies it saw."""

    def __init__(self, session: ClientSession, address: str, checks: bool) -> None:
        self._session = session
        self._api = f"{address}/api/2.0/mlflow/"
        self._checks = checks
        self._run = ""
        self.latencies: list[float] = []
        self.errors: list[str] = []
        self.stale = 0

    async def begin(self) -> None:
        """Make the run."""
        found = await self._send("POST", "runs/create", {"experiment_id": "0"})
        self._run = found["run"]["info"]["run_id"]

    async def work(self, first_due: float, every: float, until: float) -> None:
        """Send a request at each moment it is due, never before, until the time is over."""
        due = first_due
        for method, path, body, expected in self._requests():
            if due >= until:
                return
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            try:
                found = await self._send(method, path, body)
                if self._checks and expected and not expected(found):
                    self.stale += 1
            except (OSError, ClientError, AssertionError, TimeoutError) as failed:
                self.errors.append(str(failed)[:200])
            self.latencies.append(time.perf_counter() - due)
            due += every

    def _requests(self) -> Iterator[tuple[str, str, Json, Any]]:
        run = self._run
        for n in itertools.count(1):
            point = {"run_id": run, "key": "m", "value": n, "timestamp": n, "step": n}
            yield "POST", "runs/log-metric", point, None
            yield "GET", "runs/get", {"run_id": run}, lambda got, n=n: _latest(got["run"]) == n
            metrics = [{"key": "b", "value": n, "timestamp": n, "step": n * 10 + i} for i in range(10)]
            yield "POST", "runs/log-batch", {"run_id": run, "metrics": metrics}, None
            history = {"run_id": run, "metric_key": "b"}
            yield "GET", "metrics/get-history", history, lambda got, n=n: len(got["metrics"]) == n * 10
            yield "POST", "runs/set-tag", {"run_id": run, "key": "n", "value": f"{run}-{n}"}, None
            asked = {"experiment_ids": ["0"], "filter": f"tags.n = '{run}-{n}'", "max_results": 5}
            yield "POST", "runs/search", asked, lambda got: len(got.get("runs", [])) == 1

    async def _send(self, method: str, path: str, body: Json) -> Json:
        how = {"params": body} if method == "GET" else {"json": body}
        async with self._session.request(method, self._api + path, **how) as answer:  # type: ignore[arg-type]
            said = await answer.read()
            assert answer.status == 200, f"{path} {answer.status}: {said[:200]!r}"
            found: Json = json.loads(said)
            return found


def _latest(run: Json) -> float:
    return float(next(m["value"] for m in run["data"]["metrics"] if m["key"] == "m"))


async def open_loop(address: str, clients: int, rate: float, seconds: float, checks: bool) -> Json:
    """One row: the latencies of *clients* that send *rate* requests a second in all."""
    async with ClientSession(connector=TCPConnector(limit=0), timeout=ClientTimeout(total=60)) as session:
        made = [Client(session, address, checks) for _ in range(clients)]
        for client in made:
            await client.begin()
        begin, every = time.perf_counter() + 0.5, clients / rate
        tasks = [c.work(begin + every * n / clients, every, begin + seconds) for n, c in enumerate(made)]
        await asyncio.gather(*tasks)
        took = time.perf_counter() - begin
    latencies = sorted(itertools.chain.from_iterable(client.latencies for client in made))
    errors = [error for client in made for error in client.errors]
    for error in errors[:3]:
        print(error, file=sys.stderr)
    return {
        "requests": len(latencies), "per s": len(latencies) / took, "errors": len(errors),
        "stale reads": sum(client.stale for client in made), "p50 ms": quantile(latencies, 0.5) * 1000,
        "p90 ms": quantile(latencies, 0.9) * 1000, "p99 ms": quantile(latencies, 0.99) * 1000,
        "max ms": latencies[-1] * 1000,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=64, help="(default: %(default)s)")
    parser.add_argument(
        "--rate", type=float, default=150, help="requests per second in all (default: %(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=60, help="(default: %(default)s)")
    args = parser.parse_args()
    rows = []
    with three_servers("mlflow-open-loop") as servers:
        for server, address in servers.addresses.items():
            found = asyncio.run(
                open_loop(address, args.clients, args.rate, args.seconds, server != "nothing")
            )
            goal = "no error, p99 ≤ 250" if server == "runstone" else ""
            rows.append({"server": server, **found, "goal": goal})
    report("mlflow_open_loop", rows)


if __name__ == "__main__":
    main()
