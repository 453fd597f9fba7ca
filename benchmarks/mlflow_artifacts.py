"""One big file through the artifact proxy, up and down, beside a bare copy within the same file system.

The bare copy is read, written and flushed to the disk in blocks as any program would do it, under another
name until it is complete, and what comes down is stored the same way: where a store keeps the old file until
the new one is there, the new one takes new memory, which on a virtual machine may cost more than the writing.
While Runstone's proxy works, the gateway's memory is watched.
"""

import argparse
import contextlib
import http.client
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from mlflow_servers import three_servers
from report import report

BLOCK = 1 << 20


def made(path: Path, size: int) -> Path:
    """A file of *size* bytes that do not compress."""
    block = os.urandom(BLOCK)
    with path.open("wb") as out:
        for number in range(size // BLOCK):
            out.write(number.to_bytes(8, "big") + block[8:])
    return path


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """A file that takes *target*'s place when it is complete and on the disk."""
    part = target.with_suffix(".part")
    with part.open("wb") as out:
        yield out
        out.flush()
        os.fsync(out.fileno())
    part.rename(target)


def copied(source: Path, target: Path) -> None:
    """A copy that is on the disk when this returns."""
    with source.open("rb") as read, replacing(target) as out:
        while block := read.read(BLOCK):
            out.write(block)


def sent(address: str, path: str, source: Path) -> None:
    """PUT the file, as MLflow's client does."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=600, blocksize=BLOCK)
    with source.open("rb") as body:
        connection.request("PUT", path, body, {"Content-Length": str(source.stat().st_size)})
    answer = connection.getresponse()
    said = answer.read()
    assert answer.status == 200, (answer.status, said[:300])


def fetched(address: str, path: str, target: Path) -> None:
    """GET the file and store it as the bare copy is stored."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=600)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 200
    with replacing(target) as out:
        while block := answer.read(BLOCK):
            out.write(block)


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def watched(pid: int, work: Callable[[], None]) -> tuple[float, int]:
    """Seconds that *work* took, and by how many bytes the process grew at most meanwhile."""
    before, peak, done = memory(pid), memory(pid), threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, memory(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    done.set()
    watcher.join()
    return seconds, peak - before


def run_of(address: str) -> str:
    """The path below which the files of a new run lie."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/api/2.0/mlflow/runs/create", b'{"experiment_id": "0"}', headers)
    info = json.loads(connection.getresponse().read())["run"]["info"]
    return f"/api/2.0/mlflow-artifacts/artifacts/0/{info['run_id']}/artifacts/big.bin"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=2048, help="the file's size (default: %(default)s)")
    parser.add_argument(
        "--rounds", type=int, default=3, help="the best of these counts (default: %(default)s)"
    )
    args = parser.parse_args()
    size, rows = args.megabytes * BLOCK, []
    with three_servers("mlflow-artifacts") as servers:
        here = servers.stack.parent
        source = made(here / "source.bin", size)
        gateway = next(
            part["pid"]
            for part in json.loads((servers.stack / "state.json").read_text())["parts"]
            if part["name"] == "gateway"
        )

        def best(what: str, way: str, bare: float, work: Callable[[], None]) -> float:
            found = [watched(gateway, work) for _ in range(args.rounds)]
            rate = size / min(seconds for seconds, _ in found)
            grown = max(growth for _, growth in found) / BLOCK if what == "runstone" else ""
            goal = "≥ 0.8, ≤ 64 MB" if what == "runstone" else ""
            rows.append({
                "what": what, "way": way, "MB/s": rate / BLOCK,
                "of the bare copy": rate / bare if bare else 1.0,
                "gateway grew by MB": grown, "goal": goal,
            })  # fmt: skip
            return rate

        target = here / "copy.bin"
        bare = best("bare copy", "", 0, lambda: copied(source, target))
        for server in ("runstone", "mlflow"):
            address = servers.addresses[server]
            path = run_of(address)
            best(server, "up", bare, lambda a=address, p=path: sent(a, p, source))  # type: ignore[misc]
            best(server, "down", bare, lambda a=address, p=path: fetched(a, p, target))  # type: ignore[misc]
            assert target.stat().st_size == size
    report("mlflow_artifacts", rows)


if __name__ == "__main__":
    main()
