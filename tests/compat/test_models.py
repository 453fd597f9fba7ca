"""Whole models: logged by their flavours, loaded in every way, registered, and autologged."""

from pathlib import Path
from typing import Any

import mlflow
import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV

from tests.compat.differential import On, differential

INPUTS, LABELS = make_classification(n_samples=60, n_features=4, random_state=0)

GIVEN: dict[str, Any] = {"pip_requirements": ["scikit-learn"]}
"""The requirements, so that MLflow starts no process to find them out; one test lets it."""


def fitted() -> LogisticRegression:
    return LogisticRegression(max_iter=200).fit(INPUTS, LABELS)


def described(info: Any) -> dict[str, Any]:
    """What there is to compare of a ``ModelInfo``."""
    return {
        "name": info.name,
        "path": info.artifact_path,
        "uri": info.model_uri,
        "run": info.run_id,
        "model": info.model_id,
        "flavors": sorted(info.flavors),
        "signature": str(info.signature),
        "registered": info.registered_model_version,
        "params": info.params,
        "tags": info.tags,
    }


class Doubles(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """A model of one's own."""

    def predict(self, context: Any, model_input: list[float]) -> list[float]:
        return [2 * value for value in model_input]


@differential
def test_a_sklearn_model_loads_by_run_by_model_and_by_pyfunc(on: On) -> None:
    on.see(mlflow.set_experiment, on.name())
    model = fitted()
    with mlflow.start_run(run_name="trains") as run:
        mlflow.log_metric("acc", 0.5, step=1)
        mlflow.log_metric("acc", 0.75, step=2)
        mlflow.log_param("C", 1.0)
        made = mlflow.sklearn.log_model(
            model, name="model", signature=infer_signature(INPUTS, LABELS), input_example=INPUTS[:2]
        )
        on.note("logged", described(made))
    found = on.see(mlflow.get_run, run.info.run_id)
    on.see(mlflow.get_logged_model, made.model_id)
    on.see(mlflow.last_logged_model)
    for uri in (f"runs:/{run.info.run_id}/model", f"models:/{made.model_id}", made.model_uri):
        loaded = mlflow.sklearn.load_model(uri)
        on.note(f"predictions of {uri[:6]}", loaded.predict(INPUTS))
        loaded = mlflow.pyfunc.load_model(uri)
        on.note(
            "its metadata", (loaded.metadata.run_id, loaded.metadata.model_id, str(loaded.metadata.signature))
        )
        on.note("predictions by pyfunc", loaded.predict(INPUTS))
        on.note("information", described(mlflow.models.get_model_info(uri)))
    on.note("outputs", found.outputs)
    downloaded = Path(mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/model"))
    on.note("files", sorted(str(path.relative_to(downloaded)) for path in downloaded.rglob("*")))
    on.note("listing", sorted(item.path for item in on.client.list_artifacts(run.info.run_id, "model")))
    on.note("root listing", sorted(item.path for item in on.client.list_artifacts(run.info.run_id)))
    on.note("requirements", mlflow.pyfunc.get_model_dependencies(made.model_uri) and True)
    on.see(mlflow.sklearn.load_model, f"runs:/{run.info.run_id}/absent")
    on.see(mlflow.sklearn.load_model, "models:/m-" + "0" * 32)


@differential
def test_a_model_without_a_run_and_models_of_many_steps(on: On) -> None:
    where = on.see(mlflow.set_experiment, on.name()).experiment_id
    on.note("alone", described(mlflow.sklearn.log_model(fitted(), name="alone", **GIVEN)))
    with mlflow.start_run(run_name="steps") as run:
        for step in range(3):
            made = mlflow.sklearn.log_model(
                fitted(), name=f"at{step}", **GIVEN, step=step, params={"s": step}, tags={"k": step}
            )
            mlflow.log_metric("loss", 1.0 / (step + 1), step=step, model_id=made.model_id)
    on.see(mlflow.get_run, run.info.run_id)
    found = mlflow.search_logged_models([where], output_format="list")
    on.note("models", sorted(found, key=lambda model: model.name))
    best = mlflow.search_logged_models(
        [where],
        output_format="list",
        order_by=[{"field_name": "metrics.loss", "ascending": True}],
        max_results=1,
    )
    on.note("best", best[0].name)
    mlflow.sklearn.load_model(best[0].model_uri)


@differential
def test_a_pyfunc_model_of_ones_own(on: On) -> None:
    on.see(mlflow.set_experiment, on.name())
    with mlflow.start_run(run_name="pyfunc") as run:
        made = mlflow.pyfunc.log_model(
            name="doubles", python_model=Doubles(), **GIVEN, input_example=[1.0, 2.0]
        )
        on.note("logged", described(made))
    on.note("doubled", mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/doubles").predict([1.0, 4.5]))


@differential
def test_a_model_is_registered_and_served_by_alias_version_and_stage(on: On) -> None:
    on.see(mlflow.set_experiment, on.name())
    name = on.name("-registered")
    with mlflow.start_run(run_name="trains") as run:
        made = mlflow.sklearn.log_model(fitted(), name="model", **GIVEN, registered_model_name=name)
        on.note("logged", described(made))
    on.see(mlflow.register_model, f"runs:/{run.info.run_id}/model", name, tags={"k": "v"})
    on.see(mlflow.register_model, made.model_uri, name)
    on.see(mlflow.register_model, f"runs:/{run.info.run_id}/absent", name)
    on.see(mlflow.get_logged_model, made.model_id)
    on.client.set_registered_model_alias(name, "champion", "2")
    on.client.transition_model_version_stage(name, "3", "Production")
    for where in ("1", "2", "3", "latest", "Production"):
        on.note(where, mlflow.sklearn.load_model(f"models:/{name}/{where}").predict(INPUTS[:5]))
    on.note("alias", mlflow.pyfunc.load_model(f"models:/{name}@champion").predict(INPUTS[:5]))
    on.see(mlflow.sklearn.load_model, f"models:/{name}/9")
    on.see(mlflow.sklearn.load_model, f"models:/{name}@never")
    on.see(mlflow.sklearn.load_model, f"models:/{name}/Staging")
    on.see(on.client.get_registered_model, name)
    on.see(on.client.get_model_version_download_uri, name, "2")
    on.see(on.client.search_model_versions, f"name = '{name}'")
    on.see(on.client.copy_model_version, f"models:/{name}/1", on.name("-copy"))


@differential
def test_autolog_of_sklearn(on: On) -> None:
    where = on.see(mlflow.set_experiment, on.name()).experiment_id
    try:
        mlflow.sklearn.autolog(log_input_examples=False, silent=True)
        with mlflow.start_run(run_name="auto"):
            LinearRegression().fit(pd.DataFrame(INPUTS, columns=list("abcd")), LABELS)
        mlflow.sklearn.autolog(log_models=False, silent=True)
        RandomForestClassifier(n_estimators=3, random_state=1).fit(INPUTS, LABELS)
        with mlflow.start_run(run_name="search"):
            GridSearchCV(LogisticRegression(max_iter=50), {"C": [0.1, 1.0]}, cv=2).fit(INPUTS, LABELS)
    finally:
        mlflow.sklearn.autolog(disable=True)
    found = on.client.search_runs([where], order_by=["start_time"])
    timed = {"mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time", "refit_time"}
    rows = [
        {
            "name": run.info.run_name,
            "metrics": {k: v for k, v in run.data.metrics.items() if k not in timed},
            "params": run.data.params,
            "tags": run.data.tags,
            "inputs": [
                (i.dataset.name, i.dataset.digest, i.dataset.schema) for i in run.inputs.dataset_inputs
            ],
            "outputs": len(run.outputs.model_outputs),
            "status": run.info.status,
            "files": sorted(item.path for item in on.client.list_artifacts(run.info.run_id)),
        }
        for run in found
    ]
    # runs of one search begin in the same millisecond
    on.note(
        "runs",
        sorted(rows, key=lambda row: str((sorted(row["params"].items()), sorted(row["metrics"].items())))),
    )
    models = mlflow.search_logged_models([where], output_format="list")
    measured = (
        (
            m.name,
            str(m.status),
            sorted(m.params.items()),
            sorted((x.key, x.value) for x in m.metrics or [] if x.key not in timed),
        )
        for m in models
    )
    on.note("models", sorted(measured, key=str))
    mlflow.sklearn.load_model(models[0].model_uri).predict(np.zeros((1, 4)))


@differential
def test_evaluation_logs_metrics_of_the_model_and_its_data(on: On) -> None:
    where = on.see(mlflow.set_experiment, on.name()).experiment_id
    frame = pd.DataFrame(INPUTS, columns=list("abcd")).assign(label=LABELS)
    data = mlflow.data.from_pandas(frame, name="held out", targets="label")
    with mlflow.start_run(run_name="evaluates"):
        made = mlflow.sklearn.log_model(
            LinearRegression().fit(frame[list("abcd")], LABELS), name="linear", **GIVEN
        )
        for name, value in (("mae", 0.5), ("r2", 0.25)):
            mlflow.log_metric(name, value, dataset=data, model_id=made.model_id)
    on.see(mlflow.get_logged_model, made.model_id)
    on.see(on.client.search_runs, [where])
    order = [{"field_name": "metrics.mae", "dataset_name": "held out", "dataset_digest": data.digest}]
    on.see(on.client.search_logged_models, [where], filter_string="metrics.mae > 0.1", order_by=order)
