"""What ``log_model`` leaves in the spool: a pickle, its description, and MLflow's files around it."""

import json
import pickle
import re

import pytest

import runstone
from runstone.mlmodel import Layout, environment_files, mlmodel
from runstone.models import requirements
from tests.spool_contents import session_folders


@pytest.fixture
def client(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNSTONE_OFFLINE", "1")
    monkeypatch.setenv("RUNSTONE_QUIET", "1")
    return runstone.Client("http://127.0.0.1:9", spool=tmp_path / "spool")


@pytest.fixture
def uploaded(tmp_path):
    def read() -> dict[str, bytes]:
        [folder] = session_folders(tmp_path / "spool")
        orders = [json.loads(order.read_bytes()) for order in sorted((folder / "uploads").glob("*.json"))]
        return {order["path"]: (folder / "uploads" / f"{order['id']}.data").read_bytes() for order in orders}

    return read


@pytest.fixture(scope="module")
def fitted():
    linear_model = pytest.importorskip("sklearn.linear_model")
    return linear_model.LogisticRegression(C=0.5).fit([[0.0], [1.0]], [0, 1])


def test_an_estimator_is_a_folder_of_mlflows_layout_whose_mlmodel_comes_last(client, uploaded, fitted):
    with client.start_run() as run:
        run.log_model(fitted, "best/clf/")
    files = uploaded()
    assert list(files) == [
        f"best/clf/{name}"
        for name in (
            "model.pkl",
            "model.json",
            "requirements.txt",
            "python_env.yaml",
            "conda.yaml",
            "MLmodel",
        )
    ]
    assert pickle.loads(files["best/clf/model.pkl"]).predict([[1.0]]) == [1]
    described = json.loads(files["best/clf/model.json"])
    assert described["class"].endswith(".LogisticRegression")
    assert described["parameters"]["C"] == "0.5"
    assert {"python", "sklearn", "numpy"} <= set(described["versions"])
    said = files["best/clf/MLmodel"].decode()
    assert 'artifact_path: "best/clf"\n' in said
    assert '    loader_module: "mlflow.sklearn"\n' in said
    assert '    serialization_format: "cloudpickle"\n' in said
    assert f"model_size_bytes: {len(files['best/clf/model.pkl'])}\n" in said
    assert f'run_id: "{run.run_id}"\n' in said
    required = files["best/clf/requirements.txt"].decode().splitlines()
    assert {line.partition("==")[0] for line in required} == {
        "mlflow", "scikit-learn", "numpy", "scipy", "cloudpickle",
    }  # fmt: skip


def test_an_object_of_another_kind_is_a_pickle_and_a_description(client, uploaded):
    with client.start_run() as run:
        run.log_model({"weights": [1, 2]}, "plain")
    files = uploaded()
    assert list(files) == ["plain/model.pkl", "plain/model.json"]
    assert pickle.loads(files["plain/model.pkl"]) == {"weights": [1, 2]}


def test_without_cloudpickle_a_model_is_a_plain_pickle_and_says_so(client, uploaded, fitted, monkeypatch):
    monkeypatch.setattr("runstone.models._cloudpickle", lambda: None)
    with client.start_run() as run:
        run.log_model(fitted)
    files = uploaded()
    assert b"cloudpickle" not in files["model/model.pkl"]
    assert b'serialization_format: "pickle"\n' in files["model/MLmodel"]


def test_an_estimator_without_predict_is_no_python_function(client, uploaded):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    with client.start_run() as run:
        run.log_model(preprocessing.StandardScaler().fit([[0.0], [1.0]]), "scaler")
    said = uploaded()["scaler/MLmodel"].decode()
    assert "python_function" not in said
    assert "  sklearn:\n" in said


def test_requirements_are_pinned_and_name_the_libraries_of_nested_estimators(fitted):
    pipeline = pytest.importorskip("sklearn.pipeline")
    found = requirements(pipeline.make_pipeline(fitted))
    assert all(re.fullmatch(r"[\w-]+==[\w.]+", each) for each in found)
    assert "scikit-learn" in {each.partition("==")[0] for each in found}


def test_texts_in_mlmodel_stay_texts_whatever_they_hold():
    layout = Layout("1e5", 'a: "b" # \\ é', "model.pkl", "pickle", True, "1.10", ["numpy==2.0"])
    said = mlmodel(layout, 7)
    assert 'run_id: "1e5"\n' in said
    assert 'artifact_path: "a: \\U00000022b\\U00000022 # \\U0000005c \\U000000e9"\n' in said
    assert '    sklearn_version: "1.10"\n' in said
    assert environment_files(layout)["conda.yaml"].startswith('channels:\n- "conda-forge"\ndependencies:\n')
    assert '- pip:\n  - "mlflow' in environment_files(layout)["conda.yaml"]
