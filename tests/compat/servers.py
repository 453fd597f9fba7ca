"""Starts the two servers that are compared, on one Postgres: ``runstone up`` and ``mlflow server``."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import requests

from tests.compat.recording_proxy import free_port

ROOT = Path(__file__).resolve().parents[2]
DEVELOPMENT_PYTHON = ROOT / ".venv" / "bin" / "python"
MLFLOW_PYTHON = ROOT / ".venv-mlflow" / "bin" / "python"

PATIENCE = 120.0
"""Seconds: what a start or a stop may take on a busy machine."""

FIRST_EXPERIMENT_ID = 1_700_000_000
"""MLflow counts experiments from 1; counted from here, an id in a text cannot be taken for another number."""


@dataclass(frozen=True)
class Server:
    """One running server.

    ``url`` is where clients go (for Runstone through the recording proxy), ``direct`` the server itself,
    for requests that no proxy may touch up.
    """

    name: str
    url: str
    direct: str


@dataclass(frozen=True)
class Stack:
    """A running ``runstone up`` and the database server within it."""

    address: str
    data: Path

    def new_database(self, name: str) -> str:
        """Create a database; its address for SQLAlchemy, the driver named."""
        port = json.loads((self.data / "ports.json").read_text())["postgres"]
        password = (self.data / "postgres.password").read_text()
        address = f"postgresql://runstone:{password}@127.0.0.1:{port}"
        connection = psycopg2.connect(f"{address}/postgres")
        connection.autocommit = True
        connection.cursor().execute(f'CREATE DATABASE "{name}"')
        connection.close()
        return f"{address}/{name}"


@contextlib.contextmanager
def data_folder() -> Iterator[Path]:
    """A folder in which an installation can be made, also by root, whose Postgres runs as another account."""
    parent = Path("/var/lib/runstone") if os.geteuid() == 0 else None
    if parent:
        parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="tests-compat-", dir=parent))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@contextlib.contextmanager
def running(command: list[str], address: str, log: Path, folder: Path) -> Iterator[None]:
    """A server that answers GET /health at *address* while the block runs."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=folder
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while not answers(address):
            assert process.poll() is None, f"{command} ended:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"{command} does not answer:\n{log.read_text()}"
            time.sleep(0.02)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def answers(address: str) -> bool:
    with contextlib.suppress(OSError):
        return requests.get(f"{address}/health", timeout=5).status_code == 200
    return False


@contextlib.contextmanager
def runstone_stack(data: Path) -> Iterator[Stack]:
    """``runstone up`` of the development environment."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [str(DEVELOPMENT_PYTHON), "-m", "runstone.cli", "up", "--data", str(data), "--port", str(port)]
    with running(command, address, data.parent / "up.log", data.parent):
        deadline = time.monotonic() + PATIENCE
        while requests.get(f"{address}/ready", timeout=5).status_code != 200:
            assert time.monotonic() < deadline, f"never ready:\n{(data.parent / 'up.log').read_text()}"
            time.sleep(0.02)
        yield Stack(address, data)


@contextlib.contextmanager
def mlflow_server(folder: Path, database: str) -> Iterator[str]:
    """``mlflow server`` with its default number of workers; its address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [str(MLFLOW_PYTHON), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", database.replace("postgresql:", "postgresql+psycopg2:", 1)]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with running(command, address, folder / "mlflow.log", folder):
        with contextlib.closing(psycopg2.connect(database)) as connection, connection:
            connection.cursor().execute(
                f"ALTER SEQUENCE experiments_experiment_id_seq RESTART WITH {FIRST_EXPERIMENT_ID}"
            )
        yield address
