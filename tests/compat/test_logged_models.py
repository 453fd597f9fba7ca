"""Logged models: made, finalized, tagged, given params and metrics, searched, deleted."""

import mlflow
from mlflow.entities import LoggedModelInput, LoggedModelOutput, Metric

from tests.compat.differential import On, differential

ABSENT = "m-" + "0" * 32
ABSENT_RUN = "0" * 32


@differential
def test_a_logged_model_has_what_it_was_made_with(on: On) -> None:
    where = on.experiment()
    run = on.run(where, start_time=1)
    made = on.see(
        on.client.create_logged_model,
        where,
        name="net",
        source_run_id=run,
        tags={"t": "1"},
        params={"p": "2"},
        model_type="agent",
    )
    on.see(on.client.get_logged_model, made.model_id)
    on.see(on.client.create_logged_model, where)
    on.see(on.client.create_logged_model, where, name="no run")
    on.see(on.client.create_logged_model, "999999999", name="x")
    on.see(on.client.create_logged_model, where, name="x", source_run_id=ABSENT_RUN)
    for name in ("", "a/b", "a.b", "a:b", "a%b", 'a"b', "a'b", "ünï", "x" * 300):
        on.see(on.client.create_logged_model, where, name=name)
    on.see(on.client.create_logged_model, where, name="x", params={"a/b c": "v", "bad!": "v"})
    on.see(on.client.create_logged_model, where, name="x", params={"long": "x" * 6001})
    on.see(on.client.create_logged_model, where, name="x", tags={"bad!": "v"})
    on.see(on.client.create_logged_model, where, name="x", tags={"long": "x" * 8001})
    on.see(on.client.get_logged_model, ABSENT)
    on.see(on.client.get_logged_model, "nonsense")
    on.see(on.client.get_run, run)


@differential
def test_a_logged_model_is_finalized_tagged_and_deleted(on: On) -> None:
    where = on.experiment()
    made = on.client.create_logged_model(where, name="net").model_id
    for status in ("READY", "FAILED", "PENDING", "NONSENSE", None):
        on.see(on.client.finalize_logged_model, made, status)
        on.see(on.client.get_logged_model, made)
    on.see(on.client.set_logged_model_tags, made, {"a": "1", "b": "2"})
    on.see(on.client.set_logged_model_tags, made, {"a": "3"})
    on.see(on.client.set_logged_model_tags, made, {})
    on.see(on.client.set_logged_model_tags, made, {"bad!": "1"})
    on.see(on.client.set_logged_model_tags, made, {"n": 1})
    on.see(on.client.delete_logged_model_tag, made, "a")
    on.see(on.client.delete_logged_model_tag, made, "a")
    on.see(on.client.get_logged_model, made)
    on.see(on.client.log_model_params, made, {"p": "1"})
    on.see(on.client.log_model_params, made, {"p": "1"})
    on.see(on.client.log_model_params, made, {"p": "2"})
    on.see(on.client.log_model_params, made, {"q": "1", "bad!": "2"})
    on.see(on.client.log_model_params, made, {f"q{n}": "v" for n in range(120)})
    on.see(on.client.get_logged_model, made)
    on.see(on.client.delete_logged_model, made)
    on.see(on.client.delete_logged_model, made)
    on.see(on.client.get_logged_model, made)
    on.see(on.client.finalize_logged_model, made, "READY")
    on.see(on.client.set_logged_model_tags, made, {"c": "1"})
    on.see(on.client.search_logged_models, [where])
    on.see(on.client.finalize_logged_model, ABSENT, "READY")
    on.see(on.client.set_logged_model_tags, ABSENT, {"a": "1"})
    on.see(on.client.delete_logged_model_tag, ABSENT, "a")
    on.see(on.client.log_model_params, ABSENT, {"a": "1"})
    on.see(on.client.delete_logged_model, ABSENT)


@differential
def test_metrics_belong_to_a_model_and_its_run(on: On) -> None:
    where = on.experiment()
    run, other = on.run(where, start_time=1), on.run(where, start_time=2)
    made = on.client.create_logged_model(where, name="net", source_run_id=run).model_id
    on.see(on.client.log_metric, run, "acc", 0.5, timestamp=1, step=1, model_id=made)
    on.see(on.client.log_metric, run, "acc", 0.75, timestamp=2, step=2, model_id=made)
    on.see(on.client.log_metric, run, "acc", 0.25, timestamp=3, step=2)
    on.see(on.client.log_metric, other, "acc", 0.9, timestamp=1, step=1, model_id=made)
    on.see(
        on.client.log_batch,
        other,
        [Metric("rmse", 2.0, 5, 0, model_id=made, dataset_name="d", dataset_digest="1234", run_id=other)],
    )
    on.see(on.client.log_metric, other, "acc", 0.9, timestamp=1, step=1, model_id=ABSENT)
    on.see(on.client.get_logged_model, made)
    on.see(on.client.get_run, run)
    on.see(on.client.get_metric_history, run, "acc")
    on.see(on.client.get_metric_history, other, "acc")
    on.see(on.client.get_metric_history, other, "rmse")


@differential
def test_a_run_has_models_as_inputs_and_outputs(on: On) -> None:
    where = on.experiment()
    run, later = on.run(where, start_time=1), on.run(where, start_time=2)
    made = [
        on.client.create_logged_model(where, name=f"net{n}", source_run_id=run).model_id for n in range(2)
    ]
    on.see(
        on.client.log_outputs, run, [LoggedModelOutput(made[0], step=0), LoggedModelOutput(made[1], step=7)]
    )
    on.see(on.client.log_outputs, run, [LoggedModelOutput(made[0], step=0)])
    on.see(on.client.log_inputs, later, models=[LoggedModelInput(made[0])])
    on.see(on.client.log_inputs, later, models=[LoggedModelInput(made[0])])
    on.see(on.client.log_outputs, run, [LoggedModelOutput(ABSENT, step=0)])
    on.see(on.client.log_outputs, ABSENT_RUN, [LoggedModelOutput(made[0], step=0)])
    on.see(on.client.log_inputs, ABSENT_RUN, models=[LoggedModelInput(made[0])])
    on.see(on.client.get_run, run)
    on.see(on.client.get_run, later)
    on.see(on.client.search_runs, [where], order_by=["start_time"])


@differential
def test_logged_models_are_searched(on: On) -> None:
    first, second = on.experiment("-1"), on.experiment("-2")
    run = on.run(first, start_time=1)
    rows = [
        (first, "alpha", {"p": "1"}, {"t": "x"}, 0.5, "READY"),
        (first, "beta", {"p": "2"}, {"t": "X"}, 2.0, "READY"),
        (first, "Gamma", {}, {}, None, "FAILED"),
        (first, "alpha", {"p": "1", "q": "z"}, {"t": "y"}, 0.75, "PENDING"),
        (second, "delta", {"p": "1"}, {"t": "x"}, -1.0, "READY"),
    ]
    made = []
    for where, name, params, tags, value, status in rows:
        own = on.run(where, start_time=2) if where == second else run
        model = on.client.create_logged_model(
            where, name=name, params=params, tags=tags, source_run_id=own
        ).model_id
        if value is not None:
            on.client.log_metric(own, "m", value, timestamp=1, step=1, model_id=model)
            on.client.log_metric(own, "m", 9.0, timestamp=1, step=0, model_id=model)
        if status != "PENDING":
            on.client.finalize_logged_model(model, status)
        made.append(model)
    point = Metric("d", 0.5, 1, 1, model_id=made[0], dataset_name="train", dataset_digest="abcd", run_id=run)
    on.client.log_batch(run, [point])
    order = [{"field_name": "creation_time", "ascending": True}]
    for text in (
        None,
        "",
        "name = 'alpha'",
        "name != 'alpha'",
        "name LIKE '%a'",
        "name ILIKE 'gamma'",
        "attributes.name = 'beta'",
        "name IN ('alpha', 'beta')",
        "name NOT IN ('alpha', 'beta')",
        f"model_id = '{made[0]}'",
        f"attributes.model_id IN ('{made[0]}', '{made[1]}')",
        f"source_run_id = '{run}'",
        "status = 'READY'",
        "status != 'READY'",
        "status = 2",
        "model_type = ''",
        "model_type IS NULL",
        "creation_timestamp > 0",
        "creation_time > 0",
        "creation_timestamp < 5",
        "last_updated_timestamp > 5",
        "params.p = '1'",
        "params.p != '1'",
        "params.p LIKE '%'",
        "params.p IS NULL",
        "params.q = 'z' AND tags.t = 'y'",
        "tags.t = 'x'",
        "tags.t != 'x'",
        "tags.t ILIKE 'x'",
        "tags.t IN ('x', 'y')",
        "tags.absent = 'x'",
        "metrics.m > 0.5",
        "metrics.m >= 0.5",
        "metrics.m != 0.5",
        "metrics.m < 0",
        "metrics.m = 0.5 AND name = 'alpha'",
        "metrics.absent > 0",
        "metrics.d = 0.5",
        "metrics.m = 'x'",
        "metrics.m LIKE 'x'",
        "experiment_id = '1'",
        "nonsense = 'x'",
        "nonsense.x = 'x'",
        "name = 'alpha' OR name = 'beta'",
        "name",
        "name = ",
    ):
        on.see(on.client.search_logged_models, [first, second], filter_string=text, order_by=order)
    for how in (
        [{"field_name": "metrics.m"}],
        [{"field_name": "metrics.m", "ascending": True}],
        [{"field_name": "metrics.m", "ascending": False}],
        [{"field_name": "name", "ascending": True}, *order],
        [{"field_name": "name", "ascending": False}, *order],
        [{"field_name": "creation_timestamp", "ascending": False}],
        [{"field_name": "last_updated_timestamp", "ascending": True}],
        [{"field_name": "metrics.d", "dataset_name": "train", "dataset_digest": "abcd"}, *order],
        [{"field_name": "metrics.d", "dataset_name": "train"}, *order],
        [{"field_name": "metrics.d", "dataset_digest": "abcd"}, *order],
        [{"field_name": "name", "dataset_name": "train"}, *order],
        [{"field_name": "params.p"}],
        [{"field_name": "nonsense"}],
        [{"ascending": True}],
        [{"field_name": "name", "sideways": True}],
    ):
        on.see(on.client.search_logged_models, [first, second], order_by=how)
    for datasets in (
        [{"dataset_name": "train"}],
        [{"dataset_name": "train", "dataset_digest": "abcd"}],
        [{"dataset_name": "no"}],
        [{"dataset_digest": "abcd"}],
    ):
        on.see(on.client.search_logged_models, [first], filter_string="metrics.d > 0", datasets=datasets)
    page = on.see(on.client.search_logged_models, [first], max_results=3, order_by=order)
    on.see(on.client.search_logged_models, [first], max_results=3, order_by=order, page_token=page.token)
    on.see(on.client.search_logged_models, [second], max_results=3, order_by=order, page_token=page.token)
    on.see(on.client.search_logged_models, [first], page_token="junk")
    on.see(on.client.search_logged_models, [first], max_results=0)
    on.see(on.client.search_logged_models, [first], max_results=-1)
    on.see(on.client.search_logged_models, [first], max_results=51)
    on.see(on.client.search_logged_models, [])
    on.see(on.client.search_logged_models, ["999999999"])
    on.see(mlflow.search_logged_models, [first, second], output_format="list", order_by=order)


@differential
def test_a_metric_of_a_model_may_be_no_number(on: On) -> None:
    where = on.experiment()
    run = on.run(where, start_time=1)
    made = on.client.create_logged_model(where, name="net", source_run_id=run).model_id
    on.client.log_metric(run, "m", float("nan"), timestamp=1, step=1, model_id=made)
    on.see(on.client.get_logged_model, made)
    on.see(on.client.search_logged_models, [where])


@differential
def test_external_models_and_the_active_model(on: On) -> None:
    where = on.experiment()
    on.see(mlflow.set_experiment, experiment_id=where)
    made = on.see(mlflow.create_external_model, name="elsewhere", params={"a": "1"}, tags={"b": "2"})
    on.see(mlflow.get_logged_model, made.model_id)
    on.see(mlflow.initialize_logged_model, name="begun", model_type="x")
    on.see(mlflow.set_logged_model_tags, made.model_id, {"k": "v"})
    on.see(mlflow.delete_logged_model_tag, made.model_id, "k")
    on.see(mlflow.log_model_params, {"x": "y"}, model_id=made.model_id)
    with mlflow.start_run(run_name="evaluation"):
        mlflow.log_metric("acc", 0.5, step=3, model_id=made.model_id)
        mlflow.log_metrics({"a": 1.0, "b": 2.0}, step=4, model_id=made.model_id)
    on.see(mlflow.get_logged_model, made.model_id)
    on.see(mlflow.finalize_logged_model, made.model_id, "FAILED")
