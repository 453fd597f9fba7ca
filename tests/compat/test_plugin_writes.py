"""``MLFLOW_TRACKING_URI=runstone://…`` with no server anywhere: what MLflow's calls leave in the spool."""

import json
import math
import socket
import time
import uuid
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from runstone.events.identity import experiment_id
from runstone_mlflow import addresses
from tests.spool_contents import EVENT, POINT, Record, assert_dense, events, run_streams, spool_records


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spool of its own, and an address of its own at which nothing answers."""
    monkeypatch.setenv("RUNSTONE_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("RUNSTONE_OFFLINE", "1")
    monkeypatch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "")  # which set_experiment sets: gone again afterwards
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID")
    monkeypatch.setattr(mlflow.tracking.fluent, "_active_experiment_id", None)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"runstone://127.0.0.1:9/{uuid.uuid4().hex}")
    yield tmp_path / "spool"
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(before)


def logged(spool: Path) -> tuple[str, list[Record]]:
    """The only run and what lies in the spool of it, its context excepted, which comes when it is known."""
    records = spool_records(spool)
    assert_dense(records)
    [run_id] = run_streams(records)
    return run_id, [
        r for r in records if r.stream == run_id and not (r.kind == EVENT and r.data["type"] == "run_context")
    ]


def test_a_fluent_run_is_begun_filled_and_ended_in_the_spool(spool):
    before = time.time() * 1000
    with mlflow.start_run(run_name="first", tags={"team": "blue"}, description="why") as run:
        assert mlflow.log_param("a", 1) == 1
        mlflow.log_params({"b": 2.5})
        mlflow.log_metric("loss", 0.5)
        mlflow.log_metric("loss", 0.25, step=3, timestamp=12345)
        mlflow.log_metrics({"acc": 0.9, "nan": math.nan}, step=4)
        mlflow.set_tag("k", "v")
        mlflow.set_tags({"m": 1})
        mlflow.delete_tag("k")
    run_id, records = logged(spool)
    assert run_id == run.info.run_id
    started = records[0].data
    assert (started["type"], started["name"], started["experiment_id"]) == ("run_started", "first", 0)
    assert started["experiment_name"] == "Default"
    assert started["context"]["source"].endswith("pytest/__main__.py")
    tags = {e["key"]: e["value"] for e in events(records, run_id, "tag")}
    assert {
        "team": "blue",
        "mlflow.note.content": "why",
        "mlflow.runName": "first",
        "k": "v",
        "m": "1",
    }.items() <= tags.items()
    assert {e["key"]: e["value"] for e in events(records, run_id, "param")} == {"a": "1", "b": "2.5"}
    points = [(r.key, r.data[0], r.data[1]) for r in records if r.kind == POINT]
    assert points[:3] == [("loss", 0, 0.5), ("loss", 3, 0.25), ("acc", 4, 0.9)]
    assert math.isnan(points[3][2])
    times = [r.time_ms for r in records if r.kind == POINT]
    assert before - 1 <= times[0] <= time.time() * 1000
    assert times[1] == 12345
    assert [e["key"] for e in events(records, run_id, "tag_deleted")] == ["k"]
    [ended] = events(records, run_id, "run_ended")
    assert ended["status"] == "FINISHED"


def test_an_experiment_needs_no_server_and_is_announced_with_its_first_run(spool):
    found = mlflow.set_experiment("Churn Prediction")
    assert found.experiment_id == str(experiment_id("Churn Prediction"))
    with mlflow.start_run() as run:
        pass
    records = spool_records(spool)
    [created] = events(records, "catalog", "experiment_created")
    assert created["name"] == "Churn Prediction"
    [started] = events(records, run.info.run_id, "run_started")
    assert (started["experiment_id"], started["experiment_name"]) == (
        int(found.experiment_id),
        "Churn Prediction",
    )
    made = MlflowClient().create_experiment("other", tags={"owner": "me"})
    assert made == str(experiment_id("other"))
    assert events(spool_records(spool), "catalog", "experiment_created")[1]["tags"] == {"owner": "me"}
    with pytest.raises(MlflowException, match="already exists") as caught:
        MlflowClient().create_experiment("other")
    assert caught.value.error_code == "RESOURCE_ALREADY_EXISTS"


def test_a_child_process_of_one_that_set_an_experiment_needs_no_server_either(spool, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "123")
    with mlflow.start_run() as run:
        pass
    [started] = events(spool_records(spool), run.info.run_id, "run_started")
    assert (started["experiment_id"], started["experiment_name"]) == (123, "")


def test_a_server_that_takes_connections_and_never_answers_holds_nobody_up_for_long(spool, monkeypatch):
    monkeypatch.setattr("runstone_mlflow.connected_store.MOMENT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mlflow.set_tracking_uri(f"runstone://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        found = mlflow.set_experiment("Churn Prediction")
        with mlflow.start_run() as run:
            mlflow.log_metric("loss", 1.0)
        MlflowClient().log_metric(uuid.uuid4().hex, "loss", 1.0)
        assert time.monotonic() - began < 5
    assert found.experiment_id == str(experiment_id("Churn Prediction"))
    assert events(spool_records(spool), run.info.run_id, "run_ended")


def test_a_run_that_fails_or_is_nested_says_so(spool):
    with (
        pytest.raises(ZeroDivisionError),
        mlflow.start_run() as parent,
        mlflow.start_run(nested=True) as child,
    ):
        1 / 0  # noqa: B018  # the failure
    records = spool_records(spool)
    assert [events(records, r.info.run_id, "run_ended")[0]["status"] for r in (parent, child)] == [
        "FAILED"
    ] * 2
    [started] = events(records, child.info.run_id, "run_started")
    assert started["parent_run_id"] == parent.info.run_id


def test_a_param_keeps_its_first_value_in_this_process(spool):
    with mlflow.start_run():
        mlflow.log_param("a", 1)
        mlflow.log_param("a", 1)
        with pytest.raises(MlflowException, match="Changing param values is not allowed") as caught:
            mlflow.log_param("a", 2)
        assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
        with pytest.raises(MlflowException, match="Changing param values"):
            mlflow.log_params({"new": 1, "a": 2})
    run_id, records = logged(spool)
    assert [(e["key"], e["value"]) for e in events(records, run_id, "param")] == [("a", "1")]


@pytest.mark.parametrize(
    "batch",
    [
        {"params": [Param("p", "1"), Param("p", "2")]},
        {"metrics": [Metric("ok", 1.0, 0, 0), Metric("b\nd", 1.0, 0, 0)]},
        {"metrics": [Metric("ok", 1.0, 0, 0), Metric("big", 1.0, 0, 2**63)]},
        {"metrics": [Metric("ok", 1.0, 0, 0), Metric("early", 1.0, -1, 0)]},
        {"metrics": [Metric("ok", 1.0, 0, 0), Metric("text", "x", 0, 0)]},
        {"metrics": [Metric("ok", 1.0, 0, 0), Metric("huge", 10**400, 0, 0)]},
        {"tags": [RunTag("ok", "1"), RunTag("../up", "2")]},
        {"tags": [RunTag("t" * 251, "2")]},
    ],
)
def test_a_batch_is_written_whole_or_not_at_all(spool, batch):
    with mlflow.start_run() as run:
        before = len(logged(spool)[1])
        with pytest.raises(MlflowException) as caught:
            mlflow.tracking._get_store().log_batch(
                run.info.run_id, **{"metrics": [], "params": [], "tags": [], **batch}
            )
        assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
        assert len(logged(spool)[1]) == before


@pytest.mark.parametrize(
    ("key", "value", "step"), [("a\nb", 1.0, 0), ("k", "x", 0), ("k", 1.0, 2**63), ("/k", 1.0, 0)]
)
def test_a_bad_metric_is_refused_with_mlflows_code(spool, key, value, step):
    with mlflow.start_run():
        with pytest.raises(MlflowException) as caught:
            mlflow.log_metric(key, value, step=step)
        assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    assert not [r for r in logged(spool)[1] if r.kind == POINT]


def test_points_of_a_model_or_a_dataset_say_so(spool):
    with mlflow.start_run() as run:
        mlflow.tracking._get_store().log_metric(
            run.info.run_id, Metric("acc", 1.0, 7, 0, model_id="m-1", dataset_name="d", dataset_digest="x")
        )
    [point] = [r for r in logged(spool)[1] if r.kind == POINT]
    assert (point.key, point.time_ms) == (["acc", "m-1", "d", "x"], 7)


def test_asynchronous_calls_come_out_the_same(spool):
    with mlflow.start_run() as run:
        mlflow.log_metric("loss", 1.0, synchronous=False).wait()
        MlflowClient().log_param(run.info.run_id, "a", 1, synchronous=False).wait()
        with pytest.raises(MlflowException, match="Changing param"):
            MlflowClient().log_param(run.info.run_id, "a", 2, synchronous=False).wait()
    run_id, records = logged(spool)
    assert len(events(records, run_id, "param")) == len([r for r in records if r.kind == POINT]) == 1


def test_files_of_a_run_are_ordered_from_the_spool(spool, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.csv").write_text("1,2")
    with mlflow.start_run():
        mlflow.log_text("hello", "notes/a.txt")
        mlflow.log_dict({"a": 1}, "a.json")
        mlflow.log_artifact(tmp_path / "folder" / "a.csv", "data")
        mlflow.log_artifacts(tmp_path / "folder", "deep/er")
        with pytest.raises(MlflowException, match="Invalid artifact path"):
            mlflow.log_artifact(tmp_path / "folder" / "a.csv", "../up")
        (tmp_path / "folder" / "%2e%2e%2fup").write_text("never")
        for log in (mlflow.log_artifacts, mlflow.log_artifact):  # MLflow could not list what lies beside it
            with pytest.raises(MlflowException, match="Invalid path"):
                log(tmp_path / "folder")
    orders = [json.loads(order.read_bytes()) for order in sorted(spool.glob("*/sessions/*/uploads/*.json"))]
    assert [order["path"] for order in orders] == ["notes/a.txt", "a.json", "data/a.csv", "deep/er/a.csv"]
    assert {order["run_id"] for order in orders} == set(run_streams(spool_records(spool)))


def test_inputs_are_events_of_the_run(spool):
    import numpy as np

    data = mlflow.data.from_numpy(np.zeros((3, 2)), name="train", digest="d1")
    with mlflow.start_run() as run:
        mlflow.log_input(data, context="training")
        mlflow.log_input(data, context="validation")  # the same: the first one stands, as at MLflow
    [said] = events(spool_records(spool), run.info.run_id, "dataset_input")
    assert (said["name"], said["digest"], said["tags"]) == (
        "train",
        "d1",
        {"mlflow.data.context": "training"},
    )
    assert "num_rows" in said["profile"] or "features_shape" in said["profile"]


def test_what_the_ledger_could_not_read_is_refused_and_not_written(spool):
    tagged = DatasetInput(Dataset("d", "1", "code", "{}"), tags=[InputTag("k" * 251, "v")])
    with mlflow.start_run() as run:
        with pytest.raises(MlflowException, match="cannot be recorded") as caught:
            MlflowClient().log_inputs(run.info.run_id, [tagged])
        assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    assert events(spool_records(spool), run.info.run_id, "dataset_input") == []


def test_a_run_of_another_process_is_joined_and_a_new_attempt_owns_its_end(spool):
    run_id = uuid.uuid4().hex
    client = MlflowClient()
    client.log_metric(run_id, "loss", 1.0)
    client.set_terminated(run_id, "KILLED")
    store = mlflow.tracking._get_store()
    store.update_run_info(run_id, mlflow.entities.RunStatus.RUNNING, None, "again")
    _, records = logged(spool)
    assert [r.data["type"] for r in records if r.kind == EVENT] == [
        "run_joined",
        "run_ended",
        "run_started",
        "run_renamed",
        "tag",
    ]
    assert records[2].data["status"] == "KILLED"


def test_what_cannot_be_read_without_a_server_says_so_at_once(spool):
    with mlflow.start_run() as run:
        mlflow.log_metric("loss", 1.0)
    began = time.monotonic()
    with pytest.raises(MlflowException, match="no Runstone answers") as caught:
        mlflow.get_run(run.info.run_id)
    assert caught.value.error_code == "TEMPORARILY_UNAVAILABLE"
    assert time.monotonic() - began < 5


def test_addresses_and_files_have_one_name_here_and_one_at_the_server():
    assert addresses.server("runstone://host") == "http://host:5000"
    assert addresses.server("runstone://host:81/pre/") == "http://host:81/pre"
    assert addresses.server("runstone+https://[::1]/x") == "https://[::1]/x"
    for wrong in (
        "runstone://",
        "runstone:///x",
        "runstone://a:b@c",
        "runstone://h:x",
        "runstone://h?x=1",
        "http://h",
    ):
        with pytest.raises(MlflowException, match="no address of a Runstone"):
            addresses.server(wrong)
    here = addresses.local_uri("runstone://h:1/p", "mlflow-artifacts:/0/r/artifacts")
    assert here == "runstone://h:1/p/mlflow-artifacts/0/r/artifacts"
    assert addresses.servers_uri(here) == "mlflow-artifacts:/0/r/artifacts"
    assert addresses.split(here) == ("runstone://h:1/p", "0/r/artifacts")
    for foreign in ("s3://bucket/x", "models:/m-1", "runs:/r/model", "/tmp/x"):
        assert addresses.local_uri("runstone://h", foreign) == addresses.servers_uri(foreign) == foreign
