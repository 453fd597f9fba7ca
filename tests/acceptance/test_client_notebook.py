"""A real Jupyter kernel: cells that are run again, interrupted and restarted leave runs as a person expects."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from jupyter_client.manager import KernelManager

from tests.spool_contents import POINT, assert_dense, events, run_streams, spool_records


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("RUNSTONE_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("RUNSTONE_OFFLINE", "1")
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")


class Kernel:
    """A kernel and what its cells print."""

    def __init__(self) -> None:
        self.manager = KernelManager()
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(self, cell: str, *, interrupt_at: str = "") -> str:
        """What a cell prints and raises; it is interrupted when it prints *interrupt_at*."""
        said: list[str] = []

        def hear(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "execute_result":
                said.append(content["data"]["text/plain"])
            elif message["msg_type"] in {"stream", "error"}:
                said.append(content.get("text") or content["ename"])
            if interrupt_at and interrupt_at in content.get("text", ""):
                self.manager.interrupt_kernel()

        self.client.execute_interactive(cell, output_hook=hear, timeout=60)
        return "".join(said)

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    started = Kernel()
    yield started
    started.close()


def runs(root: Path) -> dict[str, list[str]]:
    """The statuses that were said of each run, by its name."""
    records = spool_records(root / "spool")
    assert_dense(records)
    return {
        events(records, run, "run_started")[0]["name"]: [
            event["status"] for event in events(records, run, "run_ended")
        ]
        for run in run_streams(records)
    }


def test_a_cell_that_is_run_again_ends_the_run_that_it_had_started(kernel, tmp_path):
    kernel.run("import runstone")
    kernel.run("run = runstone.start_run(run_name='first')")
    assert "'first' has been ended" in kernel.run("run = runstone.start_run(run_name='second')")
    kernel.run("import asyncio\nawait asyncio.sleep(0)\nrun = runstone.start_run(run_name='third')")
    assert "'third' has been ended" in kernel.run("run = runstone.start_run(run_name='fourth')")
    assert "InvalidInputError" in kernel.run(
        "with runstone.start_run(run_name='fifth'):\n    runstone.start_run(run_name='none')"
    )
    assert runs(tmp_path) == {
        **{name: ["FINISHED"] for name in ("first", "second", "third", "fourth")},
        "fifth": ["FAILED"],
    }


def test_an_interrupted_cell_loses_no_call_that_had_returned_and_the_run_goes_on(kernel, tmp_path):
    kernel.run("import runstone\nrun = runstone.start_run(run_name='it')\ni = 0")
    said = kernel.run(
        "while True:\n"
        "    runstone.log_metric('k', i, i)\n"
        "    i += 1\n"
        "    if i == 20_000: print('on its way', flush=True)",
        interrupt_at="on its way",
    )
    assert said.endswith("KeyboardInterrupt")
    returned = int(kernel.run("i"))
    assert kernel.run("runstone.log_metric('k', -1, -1)\n1 / 0").endswith("ZeroDivisionError")
    assert "SystemExit" in kernel.run("import sys\nsys.exit(3)")
    kernel.manager.restart_kernel()
    steps = [r.data[0] for r in spool_records(tmp_path / "spool") if r.kind == POINT]
    assert steps[:-1] in (list(range(returned)), list(range(returned + 1)))
    assert steps[-1] == -1
    assert runs(tmp_path) == {"it": ["FINISHED"]}


def test_a_notebook_that_is_run_as_a_whole_names_its_run(tmp_path, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/notebooks/churn model.ipynb")
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("import runstone"),
            nbformat.v4.new_code_cell("runstone.log_metric('k', 1)"),
        ]
    )
    nbclient.NotebookClient(notebook, timeout=60).execute()
    [(name, statuses)] = runs(tmp_path).items()
    assert name.startswith("churn model-")
    assert statuses == ["FINISHED"]
