"""Artifacts: what a call costs the training, how fast the sender uploads, and what memory it takes.

*Many*: ``log_artifacts`` of a folder of small files. *Big*: ``log_artifact`` of one large file. Each by both
ways: straight into the store's folder, where the sender's machine sees it, and by the gateway. Printed are
the time until the call returned, the time until everything was in the store and its pointers were
acknowledged, and the most memory that the sender has had (the goal: 80 MB at most). Beside them, in the same
run, MLflow's calls against its own server, which return when the file is there, and a bare synced copy.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow_artifacts import copied, made
from report import report, said_by
from stack import MLFLOW_PYTHON, folder, free_port, mlflow_server, remove, runstone_stack

MIB = 1 << 20

TRAINING = """
import json, sys, time, runstone
what, source = sys.argv[1], sys.argv[2]
with runstone.start_run() as run:
    run.log_metric("ready", 1)
    runstone.flush(60)
    began = time.perf_counter()
    run.log_artifacts(source) if what == "many" else run.log_artifact(source)
    returned = time.perf_counter() - began
    whole = runstone.flush(3600)
    stored = time.perf_counter() - began
print(json.dumps({"returned": returned, "stored": stored, "whole": whole}))
"""

MLFLOW = """
import json, sys, time, mlflow
what, source = sys.argv[1], sys.argv[2]
with mlflow.start_run():
    began = time.perf_counter()
    mlflow.log_artifacts(source) if what == "many" else mlflow.log_artifact(source)
    print(json.dumps({"returned": time.perf_counter() - began}))
"""


def most_memory(spool: Path) -> float:
    """Megabytes that the sender of a spool has had resident at most."""
    said = json.loads(next(spool.rglob("sender.json")).read_bytes())
    lines = Path(f"/proc/{said['pid']}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


@contextmanager
def unseen(store: Path) -> Iterator[None]:
    """The sender takes the store's folder for another installation's, so it goes by the gateway."""
    marker = next(store.rglob(".runstone-installation"))
    said = marker.read_text()
    marker.write_text("another one")
    try:
        yield
    finally:
        marker.write_text(said)


def logged(data: Path, what: str, way: str, source: Path, address: str) -> dict[str, float]:
    """What the training program says, and the sender's memory, with a spool and a sender of its own."""
    spool = data / f"spool-{what}-{way}"
    environment = os.environ | {
        "RUNSTONE_TRACKING_URI": address,
        "RUNSTONE_QUIET": "1",
        "RUNSTONE_SPOOL": str(spool),
        "RUNSTONE_ARTIFACT_SPOOL_LIMIT": "1T",
    }
    done = subprocess.run([sys.executable, "-c", TRAINING, what, str(source)],
                          env=environment, stdout=subprocess.PIPE, check=True)  # fmt: skip
    said = said_by(done.stdout)
    assert said.pop("whole"), "not everything was uploaded"
    said["memory"] = most_memory(spool)
    os.kill(json.loads(next(spool.rglob("sender.json")).read_bytes())["pid"], signal.SIGTERM)
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000, help="small files (default: %(default)s)")
    parser.add_argument("--bytes", type=int, default=2000, help="of each of them (default: %(default)s)")
    parser.add_argument("--megabytes", type=int, default=5120, help="of the big one (default: %(default)s)")
    parser.add_argument("--mlflow-files", type=int, default=1000, help="for MLflow (default: %(default)s)")
    args = parser.parse_args()
    data, port = folder("artifacts"), free_port()
    many, few = data / "many", data / "few"
    for place, count in ((many, args.files), (few, args.mlflow_files)):
        place.mkdir()
        for number in range(count):
            (place / f"{number:06}.bin").write_bytes(os.urandom(args.bytes))
    big = made(data / "big.bin", args.megabytes * MIB)
    rows: list[dict[str, object]] = []

    def row(what: str, way: str, files: int, size: int, found: dict[str, float]) -> None:
        stored = found.get("stored", found["returned"])
        rows.append({
            "what": what, "way": way, "files": files,
            "call, µs a file" if what == "many" else "call, s": found["returned"] / files * 1e6
            if what == "many" else found["returned"],
            "all stored after s": stored, "files/s": files / stored, "MB/s": size / stored / 1e6,
            "sender's memory, MB": found.get("memory", ""),
        })  # fmt: skip

    with runstone_stack(data / "up", port):
        address = f"http://127.0.0.1:{port}"
        for what, source, files, size in (
            ("many", many, args.files, args.files * args.bytes),
            ("big", big, 1, big.stat().st_size),
        ):
            row(what, "folder", files, size, logged(data, what, "folder", source, address))
            with unseen(data / "up"):
                row(what, "gateway", files, size, logged(data, what, "gateway", source, address))
    with mlflow_server(data, port := free_port()):
        environment = os.environ | {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
        for what, source, files, size in (
            ("many", few, args.mlflow_files, args.mlflow_files * args.bytes),
            ("big", big, 1, big.stat().st_size),
        ):
            done = subprocess.run([str(MLFLOW_PYTHON), "-c", MLFLOW, what, str(source)],
                                  env=environment, stdout=subprocess.PIPE, check=True)  # fmt: skip
            row(what, "mlflow", files, size, said_by(done.stdout))
    began = time.perf_counter()
    copied(big, data / "copy.bin")
    row("big", "bare copy", 1, big.stat().st_size, {"returned": time.perf_counter() - began})
    for what in ("many", "big"):
        report(f"artifacts_{what}", [found for found in rows if found["what"] == what])
    remove(data)


if __name__ == "__main__":
    main()
