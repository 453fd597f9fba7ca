"""``MLFLOW_TRACKING_URI=runstone://…`` with a server: what is written can be read at once, by everybody."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow
import numpy as np
import pytest
from mlflow.entities import Dataset, DatasetInput, Metric
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from tests.compat.servers import DEVELOPMENT_PYTHON, Stack

SEED = Path(__file__).parent / "seed"
PATIENCE = 60.0

TRAIN = """
import os, sys, mlflow
mlflow.set_experiment("apart")
with mlflow.start_run(run_name=sys.argv[1]) as run:
    mlflow.log_param("a", 1)
    for step in range(100):
        mlflow.log_metric("loss", step / 2, step=step)
    mlflow.log_text("hello", "notes.txt")
    print(run.info.run_id, flush=True)
    if len(sys.argv) > 2:
        os.kill(os.getpid(), int(sys.argv[2]))
"""

NATIVE = """
import sys, runstone
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
with runstone.start_run(run_name="native") as run:
    runstone.log_model(LogisticRegression().fit(*make_classification(random_state=0)), "best/model")
    runstone.log_model({"weights": [1]}, "plain")
    print(run.run_id)
    assert runstone.flush(60)
"""


@pytest.fixture(scope="module")
def spool() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="runstone-plugin-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def plugin(stack: Stack, spool: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The plug-in's address of the running installation, set for this process."""
    monkeypatch.setenv("RUNSTONE_SPOOL", str(spool))
    monkeypatch.setenv("RUNSTONE_QUIET", "1")
    monkeypatch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # which set_tracking_uri sets
    monkeypatch.setattr(mlflow.tracking.fluent, "_active_experiment_id", None)
    address = stack.address.replace("http:", "runstone:")
    before = mlflow.tracking._tracking_service.utils._tracking_uri
    mlflow.set_tracking_uri(address)
    yield address
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(before)


def python(
    script: str, address: str, *arguments: str, interpreter: Any = sys.executable
) -> subprocess.CompletedProcess[str]:
    """Run a script whose address is *address*, plug-in and native client alike."""
    return subprocess.run(
        [interpreter, "-c", script, *arguments],
        env=os.environ
        | {"MLFLOW_TRACKING_URI": address, "RUNSTONE_TRACKING_URI": address, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def eventually(look: Callable[[], Any]) -> Any:
    """What *look* gives once it gives something; MLflow's errors count as nothing."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(MlflowException):
            if found := look():
                return found
        assert time.monotonic() < deadline, "never"
        time.sleep(0.05)


def test_what_was_logged_can_be_read_in_the_next_line(plugin):
    mlflow.set_experiment("read your writes")
    with mlflow.start_run(run_name="r") as run:
        for step in range(20):
            mlflow.log_metric("loss", float(step), step=step, timestamp=1000 + step)
            assert mlflow.get_run(run.info.run_id).data.metrics == {"loss": float(step)}
        mlflow.log_param("p", 1)
        mlflow.set_tag("t", "v")
        mlflow.log_input(mlflow.data.from_numpy(np.zeros((3, 2)), name="d"), context="training")
        found = mlflow.get_run(run.info.run_id)
        assert (found.data.params, found.data.tags["t"], found.info.status) == ({"p": "1"}, "v", "RUNNING")
        assert [each.dataset.name for each in found.inputs.dataset_inputs] == ["d"]
        assert found.info.artifact_uri == run.info.artifact_uri
        history = MlflowClient().get_metric_history(run.info.run_id, "loss")
        assert [(p.step, p.timestamp, p.value) for p in history] == [
            (s, 1000 + s, float(s)) for s in range(20)
        ]
        assert list(mlflow.search_runs()["run_id"]) == [run.info.run_id]
    ended = mlflow.get_run(run.info.run_id)
    assert (ended.info.status, ended.info.run_name, ended.info.start_time) == (
        "FINISHED",
        "r",
        run.info.start_time,
    )
    assert ended.data.tags["mlflow.runName"] == "r"


def test_files_go_up_through_the_spool_and_come_back(plugin, tmp_path):
    (tmp_path / "a.csv").write_text("1,2")
    with mlflow.start_run() as run:
        mlflow.log_artifact(tmp_path / "a.csv", "data/deep")
        mlflow.log_table({"a": [1]}, "table.json")
        mlflow.log_table({"a": [2]}, "table.json")
    client = MlflowClient()
    assert [f.path for f in client.list_artifacts(run.info.run_id)] == ["data", "table.json"]
    [found] = client.list_artifacts(run.info.run_id, "data/deep")
    assert (found.path, found.file_size) == ("data/deep/a.csv", 3)
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/data/deep/a.csv") == "1,2"
    assert list(mlflow.load_table("table.json", run_ids=[run.info.run_id])["a"]) == [1, 2]
    downloaded = client.download_artifacts(run.info.run_id, "data", str(tmp_path))
    assert (Path(downloaded) / "deep" / "a.csv").read_text() == "1,2"


def test_a_model_is_logged_registered_and_loaded_also_by_a_client_with_an_http_address(plugin, stack):
    inputs, labels = make_classification(random_state=0)
    model = LogisticRegression().fit(inputs, labels)
    with mlflow.start_run() as run:
        mlflow.log_metric("acc", 0.5)
        made = mlflow.sklearn.log_model(model, name="model")
        mlflow.log_metric("later", 1.0, model_id=made.model_id)
        mlflow.log_text("hello", "files/a.txt")
    run_uri = f"runs:/{run.info.run_id}/model"
    assert (mlflow.sklearn.load_model(run_uri).predict(inputs) == model.predict(inputs)).all()
    assert (mlflow.pyfunc.load_model(made.model_uri).predict(inputs) == model.predict(inputs)).all()
    assert {m.key for m in mlflow.get_logged_model(made.model_id).metrics} == {"acc", "later"}
    assert [m.model_id for m in mlflow.get_run(run.info.run_id).outputs.model_outputs] == [made.model_id]
    [found] = mlflow.search_logged_models(
        filter_string=f"source_run_id = '{run.info.run_id}'", output_format="list"
    )
    assert found.artifact_location == mlflow.get_logged_model(made.model_id).artifact_location
    version = mlflow.register_model(run_uri, "through the plug-in")
    client = MlflowClient()
    client.set_registered_model_alias("through the plug-in", "best", version.version)
    by_path = client.create_model_version(
        "through the plug-in", f"{run.info.artifact_uri}/files", run.info.run_id
    )
    assert by_path.source == f"{run.info.artifact_uri}/files"
    assert client.get_model_version_download_uri(by_path.name, by_path.version) == by_path.source
    mlflow.set_tracking_uri(stack.address)
    seen = MlflowClient().get_model_version(by_path.name, by_path.version)
    assert seen.source == f"mlflow-artifacts:/0/{run.info.run_id}/artifacts/files"
    for uri in (run_uri, made.model_uri, "models:/through the plug-in@best"):
        assert (mlflow.sklearn.load_model(uri).predict(inputs) == model.predict(inputs)).all()


def test_autolog_writes_through_the_plugin(plugin):
    mlflow.sklearn.autolog()
    try:
        with mlflow.start_run() as run:
            LogisticRegression(C=0.25).fit(*make_classification(random_state=0))
    finally:
        mlflow.sklearn.autolog(disable=True)
    found = mlflow.get_run(run.info.run_id)
    assert found.data.params["C"] == "0.25"
    assert found.data.metrics["training_accuracy_score"] > 0.5
    assert len(found.outputs.model_outputs) == 1


def test_the_seeds_scripts_run_unmodified_through_the_plugin(plugin, tmp_path):
    for script in ("alice.py", "bob.py"):
        done = python((SEED / script).read_text(), plugin)
        assert done.returncode == 0, done.stderr
        accuracy = re.search(r"Accuracy: ([\d.]+)", done.stdout)[1]
        run = eventually(lambda: next(iter(mlflow.search_runs(max_results=1, output_format="list")), None))
        eventually(lambda run=run: mlflow.get_run(run.info.run_id).info.status == "FINISHED")
        assert f"{mlflow.get_run(run.info.run_id).data.metrics['accuracy']:.4f}" == accuracy
        assert mlflow.sklearn.load_model(f"runs:/{run.info.run_id}/model").solver == "liblinear"


def test_logging_without_a_server_is_delivered_when_one_comes(plugin, stack):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    began = time.monotonic()
    done = python(TRAIN, f"runstone://127.0.0.1:{port}", "alone")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 30, "it waited for a server"
    with relay(port, stack.address):
        run_id = done.stdout.split()[-1]
        eventually(lambda: mlflow.get_run(run_id).info.status == "FINISHED")
        eventually(lambda: MlflowClient().list_artifacts(run_id))
    found = mlflow.get_run(run_id)
    assert found.data.metrics == {"loss": 49.5}
    assert mlflow.get_experiment(found.info.experiment_id).name == "apart"
    assert len(MlflowClient().get_metric_history(run_id, "loss")) == 100


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, "FAILED"), (signal.SIGTERM, "KILLED")])
def test_a_killed_process_keeps_what_it_logged_and_its_run_says_so(plugin, number, status):
    done = python(TRAIN, plugin, "killed", str(int(number)))
    assert done.returncode == -number, done.stderr
    run_id = done.stdout.split()[-1]
    eventually(lambda: mlflow.get_run(run_id).info.status == status)
    assert len(MlflowClient().get_metric_history(run_id, "loss")) == 100


def test_a_run_of_another_process_is_resumed_and_its_params_are_known(plugin):
    done = python(TRAIN, plugin, "to be resumed")
    run_id = done.stdout.split()[-1]
    eventually(lambda: mlflow.get_run(run_id).info.status == "FINISHED")
    began = mlflow.get_run(run_id).info
    with mlflow.start_run(run_id=run_id):
        assert mlflow.get_run(run_id).info.status == "RUNNING"
        mlflow.log_metric("loss", -1.0, step=100)
        with pytest.raises(MlflowException, match="Changing param values"):
            mlflow.log_param("a", 2)
        mlflow.log_text("again", "notes.txt")
    found = mlflow.get_run(run_id)
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"loss": -1.0})
    assert (found.info.start_time, found.info.run_name, found.info.user_id) == (
        began.start_time,
        "to be resumed",
        began.user_id,
    )
    assert mlflow.artifacts.load_text(f"{found.info.artifact_uri}/notes.txt") == "again"


def test_a_deleted_run_takes_nothing_until_it_is_restored_and_a_missing_one_never(plugin):
    client = MlflowClient()
    run_id = client.create_run("0").info.run_id
    client.delete_run(run_id)
    for write in (client.log_metric, client.log_param, client.set_tag):
        with pytest.raises(MlflowException, match="must be in the 'active' state"):
            write(run_id, "k", 1)
    client.restore_run(run_id)
    client.log_metric(run_id, "k", 1)
    assert client.get_run(run_id).data.metrics == {"k": 1.0}
    with pytest.raises(MlflowException) as caught:
        client.log_metric("0" * 32, "k", 1)
    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_an_experiment_that_is_deleted_takes_no_run_and_one_that_exists_is_not_made_again(plugin):
    client = MlflowClient()
    made = client.create_experiment("to be deleted", tags={"k": "v"})
    assert client.get_experiment(made).tags == {"k": "v"}
    with pytest.raises(MlflowException) as caught:
        client.create_experiment("to be deleted")
    assert caught.value.error_code == "RESOURCE_ALREADY_EXISTS"
    inside = client.create_run(made).info.run_id
    client.delete_experiment(made)
    for write in (lambda: client.create_run(made), lambda: client.log_metric(inside, "k", 1)):
        with pytest.raises(MlflowException, match="must be in the 'active' state"):
            write()
    client.restore_experiment(made)
    client.log_metric(inside, "k", 1)
    client.rename_experiment(made, "renamed")
    run = client.create_run(made)
    assert client.get_run(run.info.run_id).info.experiment_id == made
    assert client.get_experiment_by_name("to be deleted") is None
    with pytest.raises(MlflowException) as caught:
        client.create_run("999")
    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_a_dataset_that_is_too_much_for_an_event_comes_back_whole(plugin):
    profile = '{"x": "' + "y" * 400_000 + '"}'
    with mlflow.start_run() as run:
        big = DatasetInput(Dataset("big", "d", "code", "{}", profile=profile))
        MlflowClient().log_inputs(run.info.run_id, [big])
        [found] = mlflow.get_run(run.info.run_id).inputs.dataset_inputs
    assert found.dataset.profile == profile


def test_threads_and_a_forked_child_write_to_one_run(plugin):
    with mlflow.start_run() as run:
        run_id = run.info.run_id
        client = MlflowClient()
        refused = []

        def write(number: int) -> None:
            for step in range(200):
                client.log_metric(run_id, f"m{number % 2}", 1.0, step=step, timestamp=number)
            try:
                client.log_param(run_id, "who", number)
            except MlflowException:
                refused.append(number)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(refused) == 7
        if (child := os.fork()) == 0:
            client.log_metric(run_id, "child", 1.0)
            os._exit(0)
        os.waitpid(child, 0)
        eventually(lambda: "child" in client.get_run(run_id).data.metrics)
        assert [len(client.get_metric_history(run_id, key)) for key in ("m0", "m1")] == [800, 800]
    found = mlflow.get_run(run_id)
    assert found.info.status == "FINISHED"
    assert int(found.data.params["who"]) not in refused


def test_what_mlflows_ui_asks_beside_is_answered(plugin):
    mlflow.set_experiment("charts")
    with mlflow.start_run() as run:
        mlflow.log_input(mlflow.data.from_numpy(np.zeros((3, 2)), name="d", digest="x"), context="training")
        mlflow.tracking._get_store().log_batch(
            run.info.run_id, [Metric("loss", float(step), step, step) for step in range(1000)], [], []
        )
    store = mlflow.tracking._get_store()
    points = store.get_metric_history_bulk_interval([run.info.run_id], "loss", 50, None, None)
    assert 50 <= len(points) <= 60
    assert {points[0].step, points[-1].step} == {0, 999}
    assert all(point.run_id == run.info.run_id and point.value == point.step for point in points)
    [dataset] = store._search_datasets([run.info.experiment_id])
    assert (dataset.name, dataset.digest, dataset.context) == ("d", "x", "training")
    assert mlflow.search_traces(locations=[run.info.experiment_id], return_type="list") == []
    assert store.list_scorers(run.info.experiment_id) == []


def test_a_native_model_is_loaded_by_mlflow_through_either_address(plugin, stack):
    done = python(NATIVE, stack.address, interpreter=DEVELOPMENT_PYTHON)
    assert done.returncode == 0, done.stderr
    run_id = done.stdout.split()[-1]
    inputs, labels = make_classification(random_state=0)
    for address in (plugin, stack.address):
        mlflow.set_tracking_uri(address)
        uri = f"runs:/{run_id}/best/model"
        loaded = eventually(lambda uri=uri: mlflow.sklearn.load_model(uri))
        assert loaded.score(inputs, labels) > 0.8
        wrapped = mlflow.pyfunc.load_model(uri)
        assert (wrapped.predict(inputs) == loaded.predict(inputs)).all()
        assert wrapped.metadata.run_id == run_id
        with pytest.raises(MlflowException):
            mlflow.sklearn.load_model(f"runs:/{run_id}/plain")


@contextlib.contextmanager
def relay(port: int, address: str) -> Iterator[None]:
    """A server's address becomes reachable at *port* as well."""
    to = urlsplit(address)
    listener = socket.create_server(("127.0.0.1", port))

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                here = listener.accept()[0]
                there = socket.create_connection((to.hostname, to.port))
                for ends in ((here, there), (there, here)):
                    threading.Thread(target=pump, args=ends, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
