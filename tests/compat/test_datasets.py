"""Datasets as inputs of runs."""

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Dataset, DatasetInput, InputTag

from tests.compat.differential import On, differential

ABSENT = "0" * 32


def given(name: str, digest: str, **more: object) -> Dataset:
    source = more.get("source", '{"uri": "s3://b/p"}')
    return Dataset(name, digest, "local", source, more.get("schema"), more.get("profile"))  # type: ignore[arg-type]


@differential
def test_datasets_are_logged_as_inputs(on: On) -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [1, 0], "z": ["a", None]})
    on.see(mlflow.set_experiment, on.name())
    with mlflow.start_run(run_name="trains") as run:
        on.see(
            mlflow.log_input, mlflow.data.from_pandas(frame, name="frame", targets="y"), context="training"
        )
        on.see(
            mlflow.log_input, mlflow.data.from_pandas(frame, name="frame", targets="y"), context="validation"
        )
        on.see(
            mlflow.log_input,
            mlflow.data.from_numpy(np.arange(6).reshape(2, 3), name="array"),
            tags={"k": "v"},
        )
        on.see(
            mlflow.log_inputs, [mlflow.data.from_pandas(frame.head(1), name="head")], ["eval"], [{"a": "b"}]
        )
    found = on.see(mlflow.get_run, run.info.run_id)
    on.note("the first", found.inputs.dataset_inputs[0].dataset.name)
    source = mlflow.data.get_source(found.inputs.dataset_inputs[0].dataset)
    on.note("its source", type(source).__name__)


@differential
def test_inputs_are_joined_and_limited(on: On) -> None:
    where = on.experiment()
    run = on.run(where, start_time=1)
    for inputs in (
        [DatasetInput(given("a", "1"), [InputTag("mlflow.data.context", "train"), InputTag("k", "1")])],
        [DatasetInput(given("a", "1"), [InputTag("mlflow.data.context", "test")])],
        [DatasetInput(given("a", "2"), [])],
        [DatasetInput(given("b", "1", schema="s" * 1000, profile="p" * 1000), [])],
        [DatasetInput(given("", "1"), [])],
        [DatasetInput(given("x", ""), [])],
        [DatasetInput(given("x" * 500, "1"), [])],
        [DatasetInput(given("x" * 501, "1"), [])],
        [DatasetInput(given("x", "1" * 36), [])],
        [DatasetInput(given("x", "1" * 37), [])],
        [DatasetInput(given("y", "1", source="s" * 65_535), [])],
        [DatasetInput(given("y", "1", source="s" * 65_536), [])],
        [DatasetInput(given("z", "1", schema="s" * 1_048_575), [])],
        [DatasetInput(given("z", "1", schema="s" * 1_048_576), [])],
        [DatasetInput(given("p", "1", profile="p" * 2_000_000), [])],
        [DatasetInput(given("p", "2", profile="p" * 16_777_216), [])],
        [DatasetInput(given("t", "1"), [InputTag("k" * 250, "v" * 500)])],
        [DatasetInput(given("t", "2"), [InputTag("k" * 256, "v")])],
        [DatasetInput(given("t", "3"), [InputTag("k", "v" * 501)])],
        [DatasetInput(given("t", "4"), [InputTag("k", "1"), InputTag("k", "2")])],
        [],
    ):
        on.see(on.client.log_inputs, run, inputs)
    on.see(on.client.log_inputs, ABSENT, [DatasetInput(given("a", "1"), [])])
    found = on.client.get_run(run).inputs.dataset_inputs
    on.note(
        "inputs",
        sorted(
            (
                (
                    i.dataset.name,
                    i.dataset.digest,
                    [(t.key, t.value) for t in i.tags],
                    len(i.dataset.source),
                    len(i.dataset.schema or ""),
                    len(i.dataset.profile or ""),
                )
                for i in found
            ),
            key=str,
        ),
    )
    second = on.run(where, start_time=2)
    on.see(
        on.client.log_inputs, second, [DatasetInput(given("a", "1", source="other"), [InputTag("k", "3")])]
    )
    on.see(on.client.get_run, second)


@differential
def test_a_key_of_a_dataset_tag_is_as_long_as_any_other(on: On) -> None:
    run = on.run(start_time=1)
    on.see(on.client.log_inputs, run, [DatasetInput(given("t", "1"), [InputTag("k" * 255, "v")])])


@differential
def test_runs_are_found_by_their_datasets(on: On) -> None:
    where = on.experiment()
    for number, (name, digest, context) in enumerate(
        (("a", "11", "train"), ("b", "22", "train"), ("A", "33", "eval"))
    ):
        run = on.run(where, start_time=number)
        on.client.log_inputs(
            run, [DatasetInput(given(name, digest), [InputTag("mlflow.data.context", context)])]
        )
    on.client.log_inputs(run, [DatasetInput(given("b", "22"), [])])
    on.run(where, start_time=9)
    for text in (
        "dataset.name = 'a'",
        "datasets.name = 'a'",
        "dataset.name != 'a'",
        "dataset.name LIKE '%'",
        "dataset.name ILIKE 'a'",
        "dataset.name IN ('a', 'b')",
        "dataset.name NOT IN ('a')",
        "dataset.digest = '11'",
        "dataset.digest LIKE '1%'",
        "dataset.context = 'train'",
        "dataset.context != 'train'",
        "dataset.context ILIKE 'TRAIN'",
        "dataset.name = 'b' AND dataset.context = 'train'",
        "dataset.name = 'b' AND dataset.digest = '33'",
        "dataset.nonsense = 'x'",
        "dataset.name > 'a'",
        "dataset.name = 1",
        "dataset.name IS NULL",
    ):
        on.see(on.client.search_runs, [where], text, order_by=["start_time"])
    path = "/ajax-api/2.0/mlflow/experiments/search-datasets"
    found = on.request("POST", path, {"experiment_ids": [where]}).json()
    on.note("datasets", sorted(found.get("dataset_summaries", []), key=str))
    on.http("POST", path, {"experiment_ids": ["999999999"]})
    on.http("POST", path, {"experiment_ids": []})
    on.http("POST", path, {})
    on.http("POST", path, {"experiment_ids": ["1"] * 21})
    on.http("POST", path, {"experiment_ids": "1"})
