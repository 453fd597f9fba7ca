"""Runs a test's calls on MLflow's server, then on Runstone, and compares what each call returned or raised.

A test is a function of one argument, the ``On``: the server it is on this time. ``on.see(function, …)`` calls
and writes down; what it returned is compared after both runs (``canonical.py``), so a test states calls, and
the real server states what is right.
"""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import pytest
import requests
from mlflow.tracking import fluent

from tests.compat.accepted import ACCEPTED, Accepted
from tests.compat.canonical import Canon, differences
from tests.compat.servers import Server

SHOWN = 12
"""Differences that a failing test prints."""


MET: set[Accepted] = set()
"""The accepted differences that were met so far."""


class On:
    """One server, during one test."""

    def __init__(self, server: Server, test: str, folder: Path) -> None:
        self.server = server
        self.test = test
        self.folder = folder
        self.client = mlflow.MlflowClient(server.url)
        self.seen: list[tuple[str, Any]] = []
        self._canon = Canon(server.url, server.direct)
        self._session = requests.Session()

    def see(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call and write down what came of it; the result, or None where it raised."""
        label = self._label(getattr(call, "__name__", type(call).__name__), args, kwargs)
        try:
            result = call(*args, **kwargs)
        except Exception as raised:  # what it raises is what is compared
            self.note(label, raised)
            return None
        if call.__name__ == "create_experiment":
            self.knows_experiment(result)
        self.note(label, result)
        return result

    def note(self, what: str, value: Any) -> None:
        """Write down *value* under *what*."""
        self.seen.append((what, self._canon.of(value)))

    def http(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        """As ``request``, and written down."""
        answer = self.request(method, path, body, **options)
        said = body if body is not None else options.get("data", options.get("params", ""))
        self.note(self._label(self._canon.of(f"{method} {path}"), (said,), {}), answer)
        return answer

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        """A request past the client and the proxy; *body* is sent as JSON.

        A path without a leading slash lies below ``/api/2.0/mlflow/``.
        """
        if body is not None:
            options["data"] = json.dumps(body)
            options.setdefault("headers", {"Content-Type": "application/json"})
        url = self.server.direct + (path if path.startswith("/") else f"/api/2.0/mlflow/{path}")
        return self._session.request(method, url, timeout=60, allow_redirects=False, **options)

    def name(self, suffix: str = "") -> str:
        """A name of this test's own."""
        return f"{self.test}{suffix}"

    def experiment(self, suffix: str = "") -> str:
        """The id of a new experiment of this test's own."""
        made: str = self.client.create_experiment(self.name(suffix))
        self.knows_experiment(made)
        return made

    def knows_experiment(self, experiment_id: str) -> None:
        self._canon.knows_experiment(experiment_id)

    def run(self, experiment_id: str | None = None, start_time: int | None = None, **tags: str) -> str:
        """The id of a new run, in a new experiment unless one is given."""
        where = experiment_id or self.experiment()
        made = self.client.create_run(where, start_time=start_time, tags=tags, run_name="a run")
        run_id: str = made.info.run_id
        return run_id

    def _label(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        said = [_shown(self._canon.of(value)) for value in args]
        said += [f"{key}={_shown(self._canon.of(value))}" for key, value in kwargs.items()]
        return f"{name}({', '.join(said)})"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 120 else f"{text[:117]}..."


def differential(calls: Callable[[On], None]) -> Callable[..., None]:
    """Make a test of *calls*: run on both servers, with equal results but for the accepted differences."""

    def test(servers: tuple[Server, Server]) -> None:
        on_mlflow, on_runstone = on_both(calls, servers, re.sub(r"^test_(an?_|the_)?", "", calls.__name__))
        wrong = []
        for (label, expected), (other_label, got) in zip(on_mlflow.seen, on_runstone.seen, strict=False):
            if label != other_label:
                wrong.append(
                    f"after this the calls differ\n    mlflow:   {label}\n    runstone: {other_label}"
                )
                break
            if _is_a_fault(expected) and not _is_a_fault(got):
                continue
            for path, one, other in differences(expected, got):
                covering = [a for a in ACCEPTED if a.covers(calls.__name__, label, path, str(other))]
                MET.update(covering)
                if not covering:
                    wrong.append(
                        f"{label}\n  at {path or 'the result'}\n    mlflow:   {one!r}\n    runstone: {other!r}"
                    )
        assert not wrong, f"{len(wrong)} differences, the first of them:\n" + "\n".join(wrong[:SHOWN])
        assert len(on_mlflow.seen) == len(on_runstone.seen)

    test.__name__ = calls.__name__
    test.__doc__ = calls.__doc__
    test.__module__ = calls.__module__
    return test


def _is_a_fault(seen: Any) -> bool:
    """Whether the server failed. Where MLflow's does, Runstone need only not fail (row ``faults`` of the table)."""
    return isinstance(seen, dict) and isinstance(status := seen.get("status"), int) and status >= 500


def on_both(calls: Callable[[On], None], servers: tuple[Server, Server], name: str) -> tuple[On, On]:
    """Carry out *calls* on one server and then on the other; what was seen on each."""
    one, other = (_on(calls, server, name) for server in servers)
    return one, other


def _on(calls: Callable[[On], None], server: Server, name: str) -> On:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        mlflow.set_tracking_uri(server.url)
        patched.chdir(folder)
        fluent._active_experiment_id = None  # remembered per process, but each server has its own
        on = On(server, name, Path(folder))
        try:
            calls(on)
        finally:
            while mlflow.active_run():
                mlflow.end_run()
            for variable in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"):
                os.environ.pop(variable, None)
            mlflow.set_tracking_uri(None)
        return on
