"""A running installation with the runs of MLflow's and Runstone's clients, and ``mlflow ui`` upon it."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, Response, sync_playwright

from tests.browser.chromium import CHROMIUM
from tests.compat.recording_proxy import free_port
from tests.compat.servers import (
    DEVELOPMENT_PYTHON,
    MLFLOW_PYTHON,
    ROOT,
    Stack,
    data_folder,
    running,
    runstone_stack,
)

SEED = ROOT / "tests" / "compat" / "seed"

REGISTER = """
import mlflow
[run] = mlflow.search_runs(filter_string="run_name LIKE 'Bob%'", output_format="list")
mlflow.register_model(f"runs:/{run.info.run_id}/model", "churn")
mlflow.MlflowClient().set_registered_model_alias("churn", "best", 1)
"""

NATIVE = """
import runstone
runstone.set_experiment("Native")
with runstone.start_run(run_name="a native run") as run:
    runstone.log_params({"depth": 3})
    runstone.log_series("loss", [1 / step for step in range(1, 201)])
    runstone.log_text("notes of the run", "notes.txt")
assert run.wait_until_queryable(60)
"""

EXPECTED = re.compile("/users/current$")
"""What MLflow's own server does not have either, for lack of accounts."""


@dataclass
class Seen:
    """What went wrong in a page, which its visitor would not always see."""

    refused: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def python(interpreter: Path, script: str, environment: dict[str, str], folder: Path) -> str:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "RUNSTONE_"))
    }
    done = subprocess.run(
        [interpreter, "-c", script],
        env=kept | {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"} | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """``runstone up`` with Alice's and Bob's runs, Bob's model in the registry, and a native run."""
    folder = tmp_path_factory.mktemp("scripts")
    with data_folder() as data, runstone_stack(data / "data") as found:
        for script in ("alice.py", "bob.py"):
            python(MLFLOW_PYTHON, (SEED / script).read_text(), {"MLFLOW_TRACKING_URI": found.address}, folder)
        python(MLFLOW_PYTHON, REGISTER, {"MLFLOW_TRACKING_URI": found.address}, folder)
        native = {"RUNSTONE_TRACKING_URI": found.address, "RUNSTONE_SPOOL": str(folder / "spool")}
        python(DEVELOPMENT_PYTHON, NATIVE, native, folder)
        yield found


@pytest.fixture(scope="session")
def ui(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of ``mlflow ui`` over the plug-in."""
    folder = tmp_path_factory.mktemp("ui")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [str(MLFLOW_PYTHON), "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", stack.address.replace("http:", "runstone:"), "--workers", "1"]
    with running(command, address, folder / "ui.log", folder):
        yield address


@pytest.fixture(scope="session")
def runs(stack: Stack) -> dict[str, dict[str, Any]]:
    """What Runstone says of each run, by its name."""
    asked = {"experiment_ids": [], "max_results": 10}
    experiments = requests.post(
        f"{stack.address}/api/2.0/mlflow/experiments/search", json={"max_results": 10}, timeout=30
    ).json()["experiments"]
    asked["experiment_ids"] = [each["experiment_id"] for each in experiments]
    found = requests.post(f"{stack.address}/api/2.0/mlflow/runs/search", json=asked, timeout=30).json()[
        "runs"
    ]
    return {run["info"]["run_name"]: run for run in found}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield found
        found.close()


@pytest.fixture
def visit(browser: Browser, ui: str, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Opens a page of the UI, and waits for the answer to what it *asks*.

    At the end nothing may have been refused or have failed in it.
    """
    seen = Seen()
    page = browser.new_page(viewport={"width": 1440, "height": 900})

    def answered(response: Response) -> None:
        if response.status >= 400 and not EXPECTED.search(response.url):
            seen.refused.append(f"{response.status} {response.url}")

    page.on("response", answered)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))

    def go(path: str, asks: str = "") -> Page:
        with page.expect_response(lambda response: asks in response.url, timeout=30_000):
            page.goto(ui + path)
        return page

    yield go
    page.screenshot(path=tmp_path / "page.png")
    print(f"the page as it was at the end: {tmp_path / 'page.png'}")
    page.close()
    assert seen == Seen(), json.dumps(seen.__dict__)
