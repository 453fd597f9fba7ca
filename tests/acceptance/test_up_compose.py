"""``compose.yaml``: Kafka and Postgres in containers, and ``runstone up`` connected to them."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runstone_local.ports import free_ports
from tests.fix_up import Start, get, wait_until

COMPOSE = Path(__file__).parents[2] / "compose.yaml"
IMAGES = ("apache/kafka:4.3.1", "postgres:17")


def _cannot() -> str | None:
    """Why containers cannot be started here, or None when they can; images are not fetched by a test."""
    if shutil.which("docker") is None or shutil.which("docker-compose") is None:
        return "there is no docker or no docker-compose"
    for image in IMAGES:
        found = subprocess.run(
            ["docker", "image", "inspect", image], capture_output=True, text=True, check=False, timeout=30
        )
        if found.returncode != 0:
            return f"docker has no image {image}: {found.stderr.strip()}"
    return None


def _healthy(container: str) -> bool:
    asked = ["docker", "inspect", "--format", "{{.State.Health.Status}}", container]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip() == "healthy"


@dataclass(frozen=True)
class Services:
    """The addresses of the two services."""

    kafka: str
    postgres: str


@pytest.fixture
def services() -> Iterator[Services]:
    if reason := _cannot():
        pytest.skip(f"compose.yaml needs a container engine: {reason}")
    kafka, postgres = free_ports(2)
    project = f"runstone-{uuid.uuid4().hex[:8]}"
    environment = os.environ | {"KAFKA_PORT": str(kafka), "POSTGRES_PORT": str(postgres)}

    def compose(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["docker-compose", "--project-name", project, "--file", COMPOSE, *arguments],
            env=environment, capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip

    try:
        started = compose("up", "--detach")
        assert started.returncode == 0, started.stderr
        containers = compose("ps", "--quiet").stdout.split()
        assert len(containers) == 2
        wait_until(lambda: all(_healthy(container) for container in containers), "both services are healthy")
        yield Services(f"127.0.0.1:{kafka}", f"postgresql://runstone:runstone@127.0.0.1:{postgres}/runstone")
    finally:
        compose("down", "--volumes", "--timeout", "2")


def test_up_serves_from_the_services_of_compose_yaml(services: Services, start_up: Start) -> None:
    up = start_up("--kafka", services.kafka, "--postgres", services.postgres)
    up.wait_ready()
    told = get(f"{up.url}/api/v1/connect")[1]
    assert told["bootstrap_servers"] == [services.kafka]
    assert up.stop() == 0
