"""Starts the two servers that are compared, and stops them: Runstone's stack and MLflow's tracking server."""

import contextlib
import http.client
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "benchmarks" / "out"
RUNSTONE = [sys.executable, "-m", "runstone.cli"]
MLFLOW_PYTHON = ROOT / ".venv-mlflow" / "bin" / "python"


def machine() -> str:
    """One line that says what was measured on."""
    model = "unknown processor"
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    system = f"{platform.system()} {platform.release()}"
    return f"{os.cpu_count()} cores of {model}, {system}, Python {platform.python_version()}"


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int, path: str) -> bool:
    """Whether a GET of *path* is answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        return connection.getresponse().status == 200
    return False


def wait_until(port: int, path: str, process: "subprocess.Popen[bytes]", seconds: float = 120) -> None:
    """Return when *path* answers; exit the benchmark when the process ends or the time is over."""
    deadline = time.monotonic() + seconds
    while not answers(port, path):
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"benchmark: the server on port {port} did not start")
        time.sleep(0.01)


def folder(name: str) -> Path:
    """A new data folder; as root below /var/lib, where Postgres's service user can reach it."""
    parent = "/var/lib" if os.geteuid() == 0 else None
    made = Path(tempfile.mkdtemp(prefix=f"runstone-bench-{name}-", dir=parent))
    made.chmod(0o711)
    return made


@contextlib.contextmanager
def runstone_stack(data: Path, port: int) -> Iterator[float]:
    """A running stack on *port*; yields the seconds it took to be ready."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [*RUNSTONE, "up", "--data", str(data), "--port", str(port)], stdout=subprocess.DEVNULL
    )
    try:
        wait_until(port, "/ready", process)
        yield time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@contextlib.contextmanager
def mlflow_server(data: Path, port: int, store: str | None = None) -> Iterator[float]:
    """A running MLflow tracking server with its default workers; yields the seconds it took to answer.

    *store* is its backend URI; without one, SQLite in *data*.
    """
    if not MLFLOW_PYTHON.exists():
        sys.exit("benchmark: .venv-mlflow is missing; run 'make bench-setup' first")
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(MLFLOW_PYTHON), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
         "--backend-store-uri", store or f"sqlite:///{data}/mlflow.db",
         "--artifacts-destination", str(data / "mlflow-artifacts")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=data,
    )  # fmt: skip
    try:
        wait_until(port, "/health", process)
        yield time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def remove(data: Path) -> None:
    """Remove a data folder that `folder` made."""
    shutil.rmtree(data, ignore_errors=True)
