"""search_runs: every kind of comparison, every order, values that are not numbers, values that are not there."""

import math

from mlflow.entities import Metric, Param, RunTag, ViewType

from tests.compat.differential import On, differential

ABSENT = "0" * 32


def filled(on: On) -> tuple[str, list[str]]:
    """An experiment of eight runs that differ in everything that can be asked for."""
    where = on.experiment()
    rows = [
        # start, name, status, end, m, n, p, q, tag
        (100, "alpha", "FINISHED", 500, 0.1, 1.0, "1", "x", "red"),
        (200, "beta", "FAILED", 400, 0.2, None, "10", None, "green"),
        (300, "Gamma", "KILLED", 600, math.nan, 3.0, "2", "X", None),
        (400, "alpha", "RUNNING", None, None, 4.0, None, "y%z", "Red"),
        (500, "delta", "FINISHED", 700, math.inf, None, "sgd", "", "blue"),
        (600, "epsilon", "SCHEDULED", None, -math.inf, -1.0, "SGD", "it's", "red"),
        (700, "zeta_1", "FINISHED", 900, 0.2, 1.0, "adam", 'say "hi"', None),
        (700, "zeta%2", "FINISHED", 800, -0.0, 0.0, None, None, ""),
    ]
    made = []
    for number, (start, name, status, end, m, n, p, q, tag) in enumerate(rows):
        run = on.client.create_run(where, start_time=start + (number == 7), run_name=name).info.run_id
        metrics = [Metric(key, value, 1, 0) for key, value in (("m", m), ("n x", n)) if value is not None]
        params = [Param(key, value) for key, value in (("p", p), ("q/r", q)) if value is not None]
        tags = [RunTag("colour", tag)] if tag is not None else []
        tags.append(RunTag("mlflow.user", f"user{number % 2}"))
        on.client.log_batch(run, metrics, params, tags)
        if end is not None:
            on.client.set_terminated(run, status=status, end_time=end)
        elif status != "RUNNING":
            on.client.update_run(run, status=status)
        made.append(run)
    on.client.log_metric(made[0], "m", 0.9, timestamp=2, step=1)
    on.client.log_metric(made[1], "m", 0.05, timestamp=2, step=-1)
    return where, made


def names(on: On, text: str, found: object) -> None:
    on.note(text, [(run.info.run_name, run.info.start_time) for run in found])  # type: ignore[attr-defined]


NUMERIC = [
    f"metrics.m {op} {value}"
    for op in (">", ">=", "=", "!=", "<", "<=")
    for value in ("0.2", "0", "-1", "1e400")
]
FILTERS = [
    "",
    *NUMERIC,
    "metrics.m = 'x'",
    "metrics.m = NaN",
    "metrics.m LIKE '1'",
    "metrics.m IS NULL",
    "metrics.absent > 0",
    "metrics.absent != 0",
    "metrics.m > 0 AND metrics.`n x` >= 1",
    'metrics."n x" = 1',
    "metric.m = 0.2",
    "metrics.m = 0.2 and params.p = '10'",
    "params.p = '1'",
    "params.p != '1'",
    "param.p LIKE '1%'",
    "parameters.p = '1'",
    "params.p LIKE '%d'",
    "params.p ILIKE 'sgd'",
    "params.p LIKE 'sgd'",
    "params.p IS NULL",
    "params.p IS NOT NULL",
    "params.absent IS NULL",
    "params.absent = 'x'",
    "params.absent != 'x'",
    "params.p > '1'",
    "params.p = 1",
    "params.p IN ('1', '2')",
    "params.`q/r` = 'x'",
    "params.`q/r` ILIKE 'x'",
    "params.`q/r` LIKE 'y%z'",
    "params.`q/r` LIKE 'y\\%z'",
    "params.`q/r` = ''",
    'params.`q/r` = "it\'s"',
    "params.`q/r` = 'say \"hi\"'",
    "tags.colour = 'red'",
    "tags.colour != 'red'",
    "tag.colour ILIKE 'RED'",
    "tags.colour LIKE '%e%'",
    "tags.colour IS NULL",
    "tags.colour IS NOT NULL",
    "tags.colour = ''",
    "tags.mlflow.user = 'user1'",
    "tags.`mlflow.user` = 'user0' AND tags.colour = 'red'",
    "tags.mlflow.runName = 'alpha'",
    "tags.`mlflow.runName` LIKE 'zeta_1'",
    "attributes.status = 'FINISHED'",
    "attributes.status != 'FINISHED'",
    "attribute.status LIKE 'F%'",
    "attr.status ILIKE 'f%'",
    "status = 'RUNNING'",
    "status = 'running'",
    "status IN ('RUNNING')",
    "attributes.run_name = 'alpha'",
    "run_name = 'alpha'",
    "run_name != 'alpha'",
    "run_name LIKE '%a'",
    "run_name ILIKE 'gamma'",
    "run_name LIKE 'zeta_1'",
    "run_name LIKE 'zeta%2'",
    "attributes.`run name` = 'beta'",
    "attributes.'Run name' = 'beta'",
    "attributes.\"Run Name\" = 'beta'",
    "run.status = 'FAILED'",
    "start_time > 300",
    "start_time >= 300 AND start_time < 600",
    "attributes.start_time = 300",
    "attributes.start_time != 300",
    "attributes.start_time <= 300.5",
    "attributes.created > 300",
    "attributes.Created > 300",
    "end_time > 500",
    "end_time != 500",
    "end_time = 500",
    "end_time IS NULL",
    "attributes.start_time = 'x'",
    "attributes.start_time LIKE '3'",
    "attributes.artifact_uri LIKE '%artifacts'",
    "artifact_uri ILIKE 'MLFLOW%'",
    "attributes.user_id = 'user1'",
    "attributes.lifecycle_stage = 'active'",
    "attributes.nonsense = 'x'",
    "nonsense.x = 'x'",
    "attributes.run_id IN ()",
    "attributes.run_id > 'x'",
    "datasets.name = 'd'",
    "tags.colour = 'red' OR tags.colour = 'blue'",
    "NOT tags.colour = 'red'",
    "(tags.colour = 'red')",
    "tags.colour = 'red' AND",
    "AND tags.colour = 'red'",
    "tags.colour = red",
    "tags.colour 'red'",
    "tags.colour = ",
    "= 'red'",
    "tags = 'red'",
    "tags. = 'red'",
    "'red' = tags.colour",
    "tags.colour = 'red' tags.colour = 'red'",
    "tags.colour = 'red';",
    "tags.colour = 'red'; DROP TABLE runs",
    "tags.colour = 'red' -- and more",
    "tags.colour = 'red' AND tags.colour = 'red' AND tags.colour != 'blue'",
    "metrics.m > 0.1 AND metrics.m < 0.95",
    "metrics.m>0.1",
    "  metrics.m   >   0.1  ",
    "metrics.m > 0.1\nAND\tparams.p = '10'",
    "METRICS.m > 0.1",
    "metrics.M > 0.1",
    "Tags.colour = 'red'",
    "tags.colour like '%e%' and params.p is not null",
    "metrics.m > .1",
    "metrics.m > +0.1",
    "metrics.m > 1e-1",
    "metrics.m > 0x1",
    "metrics.m > -0.1 AND start_time > 0 AND run_name LIKE '%' AND tags.mlflow.user LIKE 'user%'",
    "x" * 3000,
]

ORDERS = [
    [],
    ["metrics.m"],
    ["metrics.m ASC"],
    ["metrics.m DESC"],
    ["metric.m desc"],
    ["metrics.`n x` DESC", "metrics.m"],
    ["metrics.absent"],
    ["params.p"],
    ["params.p DESC"],
    ["param.`q/r` ASC"],
    ["tags.colour"],
    ["tags.colour DESC"],
    ["tag.`mlflow.user`", "start_time"],
    ["attributes.start_time"],
    ["start_time ASC"],
    ["start_time DESC"],
    ["attribute.end_time"],
    ["end_time DESC"],
    ["status", "start_time"],
    ["attributes.status DESC", "attributes.start_time DESC"],
    ["run_name", "start_time"],
    ["attributes.run_name DESC", "start_time"],
    ["attributes.`run name`", "start_time"],
    ["attributes.artifact_uri IS"],
    ["attributes.Created DESC"],
    ["metrics.m", "metrics.m"],
    ["metrics.m", "metrics.m DESC"],
    ["start_time", "attributes.start_time"],
    ["metrics.m SIDEWAYS"],
    ["metrics.m DESC ASC"],
    ["nonsense"],
    ["nonsense.x"],
    ["datasets.name"],
    ["attributes.nonsense"],
    ["metrics"],
    [""],
    ["metrics.m, metrics.`n x`"],
    ["metrics.m; DROP TABLE runs"],
    ["user_id", "start_time"],
]


@differential
def test_runs_are_found_by_every_kind_of_comparison(on: On) -> None:
    where, made = filled(on)
    for text in FILTERS:
        on.see(on.client.search_runs, [where], text, order_by=["start_time"])
    for text in (
        f"attributes.run_id = '{made[0]}'",
        f"run_id = '{made[0]}'",
        f"run_id != '{made[0]}'",
        f"attributes.run_id IN ('{made[0]}', '{made[3]}')",
        f"attributes.run_id NOT IN ('{made[0]}', '{made[3]}')",
        f"attributes.run_id IN ('{made[0]}')",
        f"attributes.run_id IN ({made[0]})",
        f"attributes.run_id LIKE '{made[0]}'",
        f"attributes.run_id IN ('{made[0]}') AND metrics.m > 0",
        f"attributes.experiment_id = '{where}'",
        f"tags.mlflow.parentRunId = '{made[0]}'",
    ):
        on.see(on.client.search_runs, [where], text, order_by=["start_time"])


@differential
def test_runs_are_ordered_with_nan_after_values_and_the_missing_last(on: On) -> None:
    where, made = filled(on)
    on.client.delete_run(made[1])
    for order in ORDERS:
        on.see(on.client.search_runs, [where], order_by=order, run_view_type=ViewType.ALL)
    on.see(on.client.search_runs, [where], order_by=["metrics.m"])
    on.see(on.client.search_runs, [where], "metrics.m > 0", order_by=["metrics.m DESC"], max_results=2)


@differential
def test_runs_come_in_pages(on: On) -> None:
    where, _ = filled(on)
    token = None
    for _ in range(3):
        page = on.see(
            on.client.search_runs, [where], "", max_results=3, order_by=["metrics.m"], page_token=token
        )
        token = page.token
    page = on.see(on.client.search_runs, [where], "metrics.m > 0", max_results=2)
    on.see(on.client.search_runs, [where], "metrics.m > 0", max_results=2, page_token=page.token)
    on.see(on.client.search_runs, [where], max_results=8)
    for size in (0, -1, 50_000, 50_001, "x", 1.5):
        on.see(on.client.search_runs, [where], max_results=size)
    for junk in ("junk", "", "bm90IGpzb24=", "e30=", "eyJvZmZzZXQiOiAieCJ9", "eyJvZmZzZXQiOiAtMX0="):
        on.see(on.client.search_runs, [where], page_token=junk)


@differential
def test_runs_are_searched_in_many_experiments_or_none(on: On) -> None:
    where, _ = filled(on)
    other = on.experiment("-other")
    on.run(other, start_time=650)
    on.see(on.client.search_runs, [where, other], max_results=4)
    on.see(on.client.search_runs, [other])
    on.see(on.client.search_runs, [])
    on.see(on.client.search_runs, ["999999999"])
    on.see(on.client.search_runs, ["not a number"])
    on.see(on.client.search_runs, [where, "999999999"], max_results=1)
    on.client.delete_experiment(other)
    on.see(on.client.search_runs, [other])
    on.see(on.client.search_runs, [other], run_view_type=ViewType.ALL)
