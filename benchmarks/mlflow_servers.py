"""The three servers that an MLflow client is measured against, on one machine and one Postgres.

*nothing* answers every request at once without keeping anything but files (``mlflow_nothing.py``): what a
call takes against it is the client's own cost. *runstone* is a stack; *mlflow* is MLflow's server with its
default workers, its database in the stack's Postgres.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from report import said_by
from stack import MLFLOW_PYTHON, ROOT, folder, free_port, mlflow_server, remove, runstone_stack, wait_until
from stack_postgres import new_database


@dataclass(frozen=True)
class Servers:
    """Where they listen, in the order of measuring, and the stack's data folder."""

    addresses: dict[str, str]
    stack: Path


@contextlib.contextmanager
def three_servers(name: str) -> Iterator[Servers]:
    """Start all three; nothing is left of them afterwards."""
    data = folder(name)
    ports = {what: free_port() for what in ("nothing", "runstone", "mlflow")}
    with (
        runstone_stack(data / "up", ports["runstone"]),
        mlflow_server(data, ports["mlflow"], new_database(data / "up", "mlflow")),
        nothing_server(ports["nothing"]),
    ):
        yield Servers({what: f"http://127.0.0.1:{port}" for what, port in ports.items()}, data / "up")
    remove(data)


@contextlib.contextmanager
def nothing_server(port: int) -> Iterator[None]:
    """A running server that does nothing."""
    process = subprocess.Popen([sys.executable, str(ROOT / "benchmarks" / "mlflow_nothing.py"), str(port)])
    try:
        wait_until(port, "/health", process)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def in_client(program: str, address: str, *arguments: object, **environment: str) -> dict[str, object]:
    """What *program* printed as JSON, run by a Python that has the mlflow package."""
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet"}
    done = subprocess.run(
        [str(MLFLOW_PYTHON), "-c", program, *map(str, arguments)],
        env=os.environ | quiet | {"MLFLOW_TRACKING_URI": address} | environment,
        capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        sys.exit(f"benchmark: the client failed against {address}:\n{done.stderr.decode()[-2000:]}")
    return said_by(done.stdout)
