"""Runs: made, named, ended, deleted, restored, and what their client reads back."""

import mlflow
from mlflow.entities import ViewType

from tests.compat.differential import On, differential

ABSENT = "0" * 32


@differential
def test_a_run_has_what_it_was_made_with(on: On) -> None:
    where = on.experiment()
    made = on.see(on.client.create_run, where, start_time=1000, tags={"k": "v", "n": "1"}, run_name="first")
    on.see(on.client.get_run, made.info.run_id)
    on.see(on.client.create_run, where, start_time=1001)
    on.see(on.client.create_run, where, start_time=1002, tags={"mlflow.runName": "by its tag"})
    on.see(on.client.create_run, where, start_time=1003, tags={"mlflow.runName": "one"}, run_name="two")
    on.see(on.client.create_run, where, start_time=1004, tags={"mlflow.runName": "same"}, run_name="same")
    on.see(
        on.client.create_run, where, start_time=1005, tags={"mlflow.user": "ada", "mlflow.source.type": "JOB"}
    )
    on.see(on.client.create_run, where, start_time=1006, run_name="")
    on.see(on.client.create_run, where, start_time=1007, run_name="ünï\n✓")
    on.see(on.client.create_run, where, start_time=1008, run_name="x" * 250)
    on.see(on.client.create_run, where, start_time=0, run_name="at zero")
    on.see(on.client.create_run, where)
    on.see(on.client.create_run, "999999999")
    on.see(on.client.get_run, ABSENT)
    on.see(on.client.get_run, "not an id")
    on.see(on.client.get_run, "")
    on.see(on.client.search_runs, [where], order_by=["attributes.start_time"])


@differential
def test_a_run_ends_with_each_status_and_may_begin_again(on: On) -> None:
    where = on.experiment()
    for number, status in enumerate(
        (None, "FINISHED", "FAILED", "KILLED", "SCHEDULED", "RUNNING", "NONSENSE")
    ):
        run = on.run(where, start_time=number)
        on.see(on.client.set_terminated, run, status=status, end_time=10 + number)
        on.see(on.client.get_run, run)
    on.see(on.client.set_terminated, run)
    on.see(on.client.get_run, run)
    on.see(on.client.update_run, run, status="RUNNING")
    on.see(on.client.get_run, run)
    on.see(on.client.set_terminated, run, status="FINISHED", end_time=50)
    on.see(on.client.log_metric, run, "after the end", 1.0, timestamp=60)
    on.see(on.client.log_param, run, "after", "the end")
    on.see(on.client.set_tag, run, "after", "the end")
    on.see(on.client.get_run, run)
    on.see(on.client.set_terminated, ABSENT)
    on.see(on.client.update_run, ABSENT, name="x")


@differential
def test_a_run_is_renamed_by_name_and_by_tag(on: On) -> None:
    run = on.run(start_time=1)
    on.see(on.client.update_run, run, name="second")
    on.see(on.client.get_run, run)
    on.see(on.client.set_tag, run, "mlflow.runName", "third")
    on.see(on.client.get_run, run)
    on.see(on.client.update_run, run, status="FAILED", name="fourth")
    on.see(on.client.get_run, run)
    on.see(on.client.update_run, run, name="")
    on.see(on.client.get_run, run)
    on.see(on.client.delete_tag, run, "mlflow.runName")
    on.see(on.client.get_run, run)
    on.see(on.client.set_tag, run, "mlflow.user", "grace")
    on.see(on.client.get_run, run)


@differential
def test_a_deleted_run_takes_nothing_until_it_is_restored(on: On) -> None:
    where = on.experiment()
    run = on.run(where, start_time=3)
    on.see(on.client.delete_run, run)
    on.see(on.client.delete_run, run)
    on.see(on.client.get_run, run)
    on.see(on.client.log_metric, run, "m", 1.0)
    on.see(on.client.log_param, run, "p", "1")
    on.see(on.client.set_tag, run, "t", "1")
    on.see(on.client.delete_tag, run, "mlflow.runName")
    on.see(on.client.log_batch, run, params=[mlflow.entities.Param("a", "b")])
    on.see(on.client.set_terminated, run)
    on.see(on.client.update_run, run, name="x")
    on.see(on.client.log_inputs, run, [])
    on.see(on.client.search_runs, [where])
    on.see(on.client.search_runs, [where], run_view_type=ViewType.DELETED_ONLY)
    on.see(on.client.search_runs, [where], run_view_type=ViewType.ALL)
    on.see(on.client.restore_run, run)
    on.see(on.client.restore_run, run)
    on.see(on.client.log_metric, run, "m", 1.0, timestamp=4)
    on.see(on.client.get_run, run)
    on.see(on.client.delete_run, ABSENT)
    on.see(on.client.restore_run, ABSENT)


@differential
def test_params_are_written_once(on: On) -> None:
    run = on.run(start_time=1)
    on.see(on.client.log_param, run, "a", 1)
    on.see(on.client.log_param, run, "a", 1)
    on.see(on.client.log_param, run, "a", "1")
    on.see(on.client.log_param, run, "a", 2)
    on.see(on.client.log_param, run, "b", None)
    on.see(on.client.log_param, run, "c", [1, {"x": 2}])
    on.see(on.client.log_param, run, "empty", "")
    on.see(on.client.log_param, run, "empty", " ")
    on.see(on.client.log_param, run, "a/b c.d-e:f_g", "v")
    on.see(on.client.log_param, run, "ünï", "✓")
    on.see(on.client.log_param, run, "x" * 250, "v")
    on.see(on.client.log_param, run, "long", "x" * 6000)
    on.see(on.client.log_param, run, "longer", "x" * 6001)
    for key in (
        "",
        "x" * 251,
        "..",
        "a/../b",
        "/a",
        "a//b",
        "./a",
        "a/",
        "a!b",
        "a\nb",
        "a\\b",
        ".",
        None,
        5,
    ):
        on.see(on.client.log_param, run, key, "v")
    on.see(on.client.log_param, ABSENT, "a", "1")
    on.see(on.client.get_run, run)


@differential
def test_tags_of_a_run_are_overwritten_and_deleted(on: On) -> None:
    run = on.run(start_time=1)
    on.see(on.client.set_tag, run, "a", 1)
    on.see(on.client.set_tag, run, "a", 2)
    on.see(on.client.set_tag, run, "empty", "")
    on.see(on.client.set_tag, run, "none", None)
    on.see(on.client.set_tag, run, "long", "x" * 8000)
    on.see(on.client.set_tag, run, "longer", "x" * 8001)
    for key in ("", "x" * 250, "x" * 251, "..", "/a", "a!b", "mlflow.note.content", "a b"):
        on.see(on.client.set_tag, run, key, "v")
    on.see(on.client.delete_tag, run, "a")
    on.see(on.client.delete_tag, run, "a")
    on.see(on.client.delete_tag, run, "never")
    on.see(on.client.set_tag, ABSENT, "a", "1")
    on.see(on.client.delete_tag, ABSENT, "a")
    on.see(on.client.get_run, run)


@differential
def test_the_fluent_calls_make_one_run_with_all_that_was_logged(on: On) -> None:
    on.see(mlflow.set_experiment, on.name())
    with mlflow.start_run(run_name="outer", description="said", tags={"stage": "one"}) as outer:
        mlflow.log_param("lr", 0.1)
        mlflow.log_params({"layers": 3, "solver": "sgd"})
        for step in range(5):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"acc": 0.5, "f1": 0.25}, step=2)
        mlflow.set_tag("who", "me")
        mlflow.set_tags({"x": 1, "y": "z"})
        mlflow.delete_tag("y")
        on.see(mlflow.log_param, "lr", 0.2)
        with mlflow.start_run(run_name="inner", nested=True) as inner:
            mlflow.log_metric("loss", 0.5)
            on.see(mlflow.get_parent_run, inner.info.run_id)
            with mlflow.start_run(nested=True, run_name="innermost", log_system_metrics=False):
                mlflow.log_param("depth", 3)
        on.see(mlflow.start_run, run_name="not nested")
    on.see(mlflow.get_run, outer.info.run_id)
    on.see(mlflow.get_run, inner.info.run_id)
    on.see(mlflow.last_active_run)
    on.see(on.client.get_metric_history, outer.info.run_id, "loss")
    on.see(
        on.client.search_runs,
        outer.info.experiment_id,
        filter_string=f"tags.mlflow.parentRunId = '{outer.info.run_id}'",
    )
    with mlflow.start_run(run_id=outer.info.run_id):
        mlflow.log_metric("again", 1.0)
    on.see(mlflow.get_run, outer.info.run_id)
    on.see(mlflow.delete_run, inner.info.run_id)
    on.see(mlflow.start_run, run_id=inner.info.run_id)
    on.see(mlflow.start_run, run_id=ABSENT)


@differential
def test_a_run_whose_block_raises_is_failed(on: On) -> None:
    on.see(mlflow.set_experiment, on.name())

    def trains() -> None:
        with mlflow.start_run(run_name="breaks"):
            mlflow.log_metric("before", 1.0)
            int("training")

    on.see(trains)
    on.see(mlflow.last_active_run)


@differential
def test_what_is_logged_asynchronously_is_read_after_a_flush(on: On) -> None:
    on.see(mlflow.set_experiment, on.name())
    with mlflow.start_run(run_name="async") as run:
        for step in range(50):
            mlflow.log_metric("loss", step / 2, step=step, timestamp=1000 + step, synchronous=False)
        mlflow.log_param("p", 1, synchronous=False)
        mlflow.set_tag("t", "x", synchronous=False)
        mlflow.log_metrics({"a": 1.0, "b": 2.0}, step=1, timestamp=5, synchronous=False)
        mlflow.flush_async_logging()
        on.see(mlflow.get_run, run.info.run_id)
        on.see(on.client.get_metric_history, run.info.run_id, "loss")


@differential
def test_search_runs_makes_a_data_frame(on: On) -> None:
    first, second = on.experiment("-1"), on.experiment("-2")
    for where, value in ((first, 0.5), (first, float("nan")), (second, 1.5)):
        run = on.run(where, start_time=int(10 * (0 if value != value else value)) + 1)
        on.client.log_metric(run, "m", value)
        on.client.log_param(run, f"p{value}", value)
    on.see(mlflow.search_runs, experiment_ids=[first, second], order_by=["start_time"])
    on.see(mlflow.search_runs, experiment_names=[on.name("-1")], filter_string="metrics.m > 0")
    on.see(mlflow.search_runs, experiment_ids=[first], filter_string="metrics.m > 99")
    on.see(mlflow.search_runs, experiment_ids=[first], output_format="list", max_results=1)
    on.see(mlflow.search_runs, experiment_names=[on.name("-unknown")])
    on.see(mlflow.search_experiments, filter_string=f"name LIKE '{on.name('-')}%'", order_by=["name"])


@differential
def test_set_experiment_finds_makes_and_refuses(on: On) -> None:
    on.see(mlflow.set_experiment, on.name())
    on.see(mlflow.set_experiment, on.name())
    found = mlflow.get_experiment_by_name(on.name())
    on.see(mlflow.set_experiment, experiment_id=found.experiment_id)
    on.see(mlflow.set_experiment, experiment_id="999999999")
    on.see(mlflow.set_experiment_tag, "k", "v")
    on.see(mlflow.set_experiment_tags, {"a": 1, "b": 2})
    on.see(mlflow.get_experiment, found.experiment_id)
    mlflow.delete_experiment(found.experiment_id)
    on.see(mlflow.set_experiment, on.name())
    on.see(mlflow.create_experiment, on.name())
    on.see(mlflow.start_run, experiment_id=found.experiment_id)
