"""What Runstone's own client logs of figures, images, tables and datasets, as MLflow's client reads it."""

import json
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import mlflow
import numpy as np
import pandas as pd
import PIL.Image
import plotly.graph_objects
import pytest

import runstone
from runstone.exceptions import InvalidInputError
from tests.compat.servers import Stack


@pytest.fixture
def client(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[runstone.Client]:
    monkeypatch.setenv("RUNSTONE_QUIET", "1")
    # remembered per process, and each test's server has experiments of its own
    monkeypatch.setattr(mlflow.tracking.fluent, "_active_experiment_id", None)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(stack.address)
    yield runstone.Client(stack.address, spool=tmp_path / "spool")
    mlflow.set_tracking_uri(before)


def file(run: runstone.Run, path: str, folder: Path) -> Path:
    """A file of the run, by MLflow's client."""
    assert run.wait_until_queryable(30)
    found = mlflow.artifacts.download_artifacts(run_id=run.run_id, artifact_path=path, dst_path=str(folder))
    return Path(found)


def test_tables_of_every_kind_are_loaded_by_mlflow(client, tmp_path):
    frame = pd.DataFrame(
        {
            "x": [1, 2], "t": pd.to_datetime(["2026-01-01", None]), "s": ["a", None],
            "n": pd.array([1, None], dtype="Int64"), "c": pd.Categorical(["u", "v"]),
        }
    )  # fmt: skip
    with client.start_run() as run:
        run.log_table(frame, "out/frame.json")
        run.log_table({"x": [3], "s": ["é"]}, "out/frame.json")
        run.log_table([{"a": 1, "b": [1, 2]}], "rows.json")
        with pytest.raises(InvalidInputError, match="the same name"):
            run.log_table(pd.DataFrame([[1, 2]], columns=["a", "a"]), "twice.json")
    assert run.wait_until_queryable(30)
    loaded = mlflow.load_table("out/frame.json", run_ids=[run.run_id], extra_columns=["run_id"])
    assert list(loaded.columns) == ["x", "t", "s", "n", "c", "run_id"]
    assert loaded["x"].tolist() == [1, 2, 3]
    assert loaded["s"].tolist()[::2] == ["a", "é"]
    assert str(loaded["t"][0]).startswith("2026-01-01")
    assert loaded["n"].isna().tolist() == [False, True, True]
    assert loaded["c"].tolist()[:2] == ["u", "v"]
    assert mlflow.load_table("rows.json", run_ids=[run.run_id])["b"].tolist() == [[1, 2]]


def test_images_and_figures_are_what_they_were(client, tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    figure, axes = plt.subplots()
    axes.plot([0, 1], [1, 0])
    drawn = plotly.graph_objects.Figure(plotly.graph_objects.Scatter(x=[0, 1], y=[2, 3]))
    with client.start_run() as run:
        run.log_image(colours, "array.png")
        run.log_image(colours, "array.jpg")
        run.log_image(colours[:, :, :1], "grey.webp")
        run.log_image(PIL.Image.fromarray(colours), "pillow.png")
        run.log_image(mlflow.Image(colours), "mlflow.png")
        run.log_image(PIL.Image.fromarray(np.zeros((600, 300), np.uint8)), key="series", step=3)
        run.log_figure(figure, "lines.svg")
        run.log_figure(figure, "lines.png", dpi=50)
        run.log_figure(drawn, "plotly.html")
        plt.close(figure)
        with pytest.raises(InvalidInputError, match="cannot be written"):
            run.log_figure(plt.figure(), "a.gif7")
        with pytest.raises(InvalidInputError, match="knows no format"):
            run.log_image(colours, "a.gif7")
        with pytest.raises(InvalidInputError, match=r"choose another format|cannot write mode"):
            run.log_image(PIL.Image.new("RGBA", (1, 1)), "a.jpg")
    for name in ("array.png", "pillow.png", "mlflow.png"):
        assert (np.asarray(PIL.Image.open(file(run, name, tmp_path))) == colours).all(), name
    assert PIL.Image.open(file(run, "array.jpg", tmp_path)).size == (7, 5)
    assert PIL.Image.open(file(run, "grey.webp", tmp_path)).size == (7, 5)
    assert "<svg" in file(run, "lines.svg", tmp_path).read_text()
    assert PIL.Image.open(file(run, "lines.png", tmp_path)).size == (320, 240)
    assert "plotly" in file(run, "plotly.html", tmp_path).read_text()
    sizes = sorted(PIL.Image.open(each).size for each in file(run, "images", tmp_path).iterdir())
    assert sizes == [(128, 256), (300, 600)]
    paths = {each.path for each in mlflow.MlflowClient().list_artifacts(run.run_id)}
    assert "a.gif7" not in paths


def test_datasets_have_the_schema_that_mlflow_gives_them(client):
    frame = pd.DataFrame(
        {
            "x": [1.0, 2.0], "y": [1, 0], "z": ["a", None], "t": pd.to_datetime(["2020-01-01", "2021-01-01"]),
            "b": [True, False], "c": pd.Categorical(["u", "v"]), "f": np.ones(2, np.float32),
        }
    )  # fmt: skip
    array = np.arange(6).reshape(2, 3)
    theirs = mlflow.data.from_pandas(frame, name="theirs")
    with client.start_run() as run:
        run.log_input(frame, "training", {"k": "v"}, name="frame", source="s3://b/p.csv")
        run.log_input({"p": array}, name="arrays")
        run.log_input(theirs, "validation")
        run.log_input(pd.DataFrame({"deep": [[1], {"a": 1}]}), name="deep")
    assert run.wait_until_queryable(30)
    inputs = {each.dataset.name: each for each in mlflow.get_run(run.run_id).inputs.dataset_inputs}
    assert json.loads(inputs["frame"].dataset.schema) == json.loads(theirs.to_dict()["schema"])
    assert json.loads(inputs["frame"].dataset.profile) == {"num_rows": 2, "num_elements": 14}
    assert {tag.key: tag.value for tag in inputs["frame"].tags} == {
        "k": "v",
        "mlflow.data.context": "training",
    }
    source = mlflow.data.get_source(inputs["frame"].dataset)
    assert source.to_dict() == {"uri": "s3://b/p.csv"}
    expected = mlflow.data.from_numpy({"p": array}).to_dict()
    assert json.loads(inputs["arrays"].dataset.schema) == json.loads(expected["schema"])
    assert json.loads(inputs["arrays"].dataset.profile) == json.loads(expected["profile"])
    assert inputs["theirs"].dataset.digest == theirs.digest
    assert len(inputs["deep"].dataset.digest) == 16


def test_notes_and_parents_are_where_mlflow_looks_for_them(client):
    with client.start_run(run_name="outer") as outer, client.start_run(nested=True) as inner:
        inner.set_note("**why**")
    assert inner.wait_until_queryable(30)
    tags = mlflow.get_run(inner.run_id).data.tags
    assert tags["mlflow.note.content"] == "**why**"
    assert tags["mlflow.parentRunId"] == outer.run_id
    with mlflow.start_run(run_id=outer.run_id), mlflow.start_run(nested=True) as theirs:
        pass
    assert client.get_run(theirs.info.run_id).parent_run_id == outer.run_id
