"""How many points a second ``log-batch`` takes, in batches of 1000.

*Plain HTTP*: bodies built beforehand, sent by threads with a connection each, so that what is measured is
the server and not the client. *Client*: ``MlflowClient.log_batch`` with the metrics built beforehand. No
two batches are alike: MLflow looks every point up that it has already.
"""

import argparse
import http.client
import json
import threading
import time
from urllib.parse import urlsplit

from mlflow_servers import in_client, three_servers
from report import report

POINTS = 1000
KEYS = 10

CLIENT = """
import json, sys, time, mlflow
from mlflow.entities import Metric
batches = int(sys.argv[1])
client = mlflow.MlflowClient()
run = client.create_run("0").info.run_id
def batch(b):
    return [Metric(f"m{n % 10}", n / 7, 1_700_000_000_000 + b, b * 100 + n // 10) for n in range(1000)]
given = [batch(b) for b in range(batches)]
client.log_batch(run, [Metric("warm", 1.0, 1, 1)])
began = time.perf_counter()
for metrics in given: client.log_batch(run, metrics)
print(json.dumps({"rate": batches * 1000 / (time.perf_counter() - began)}))
"""


def request(connection: http.client.HTTPConnection, method: str, path: str, body: bytes) -> bytes:
    """Send and read the answer, which must be well."""
    connection.request(method, f"/api/2.0/mlflow/{path}", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    said = answer.read()
    assert answer.status == 200, (answer.status, said[:300])
    return said


def batch(run_id: str, number: int) -> bytes:
    """The body of one request: 10 series, 100 steps each, unlike every other *number*."""
    metrics = [
        {"key": f"m{n % KEYS}", "value": n / 7, "timestamp": 1_700_000_000_000 + number,
         "step": number * POINTS // KEYS + n // KEYS}
        for n in range(POINTS)
    ]  # fmt: skip
    return json.dumps({"run_id": run_id, "metrics": metrics, "params": [], "tags": []}).encode()


def plain(address: str, connections: int, batches: int) -> float:
    """Points per second over *connections*, each with a run of its own and its share of *batches*."""
    host = urlsplit(address).netloc
    open_ones = [http.client.HTTPConnection(host, timeout=120) for _ in range(connections)]
    work = []
    for connection in open_ones:
        made = json.loads(request(connection, "POST", "runs/create", b'{"experiment_id": "0"}'))
        work.append([batch(made["run"]["info"]["run_id"], n) for n in range(batches // connections)])
    gate = threading.Barrier(connections)
    times: list[float] = []

    def send(connection: http.client.HTTPConnection, bodies: list[bytes]) -> None:
        gate.wait()
        times.append(time.perf_counter())
        for body in bodies:
            request(connection, "POST", "runs/log-batch", body)
        times.append(time.perf_counter())

    threads = [
        threading.Thread(target=send, args=(connection, bodies), daemon=True)
        for connection, bodies in zip(open_ones, work, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(map(len, work)) * POINTS / (max(times) - min(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=800, help="for Runstone (default: %(default)s)")
    parser.add_argument("--mlflow-batches", type=int, default=80, help="for MLflow (default: %(default)s)")
    args = parser.parse_args()
    rows = []
    with three_servers("mlflow-batches") as servers:
        for what, goal in (
            ("plain HTTP, 1 connection", 10),
            ("plain HTTP, 8 connections", 10),
            ("client", 6),
        ):
            rates = {}
            for server, address in servers.addresses.items():
                batches = args.mlflow_batches if server == "mlflow" else args.batches
                if what == "client":
                    rates[server] = float(str(in_client(CLIENT, address, batches)["rate"]))
                else:
                    rates[server] = plain(address, int(what.split()[2]), batches)
            rows += [
                {"what": what, "server": server, "points per s": rate, "times mlflow": rate / rates["mlflow"],
                 "goal": f"≥ {goal}" if server == "runstone" else ""}
                for server, rate in rates.items()
            ]  # fmt: skip
    report("mlflow_batches", rows)


if __name__ == "__main__":
    main()
