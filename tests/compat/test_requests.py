"""Plain HTTP requests: the shape of every answer, and what becomes of requests that are not well."""

import math

from tests.compat.differential import On, differential

ABSENT = "0" * 32
JSON = {"Content-Type": "application/json"}


@differential
def test_answers_have_the_shape_of_mlflows(on: On) -> None:
    for prefix in ("/api/2.0/mlflow", "/ajax-api/2.0/mlflow"):
        made = on.request("POST", f"{prefix}/experiments/create", {"name": on.name(prefix.replace("/", "-"))})
        where = made.json()["experiment_id"]
        on.knows_experiment(where)
        on.note("created", made)
        on.http("GET", f"{prefix}/experiments/get", params={"experiment_id": where})
        on.http(
            "GET",
            f"{prefix}/experiments/get-by-name",
            params={"experiment_name": on.name(prefix.replace("/", "-"))},
        )
        on.http("POST", f"{prefix}/experiments/update", {"experiment_id": where, "new_name": on.name(prefix)})
        on.http(
            "POST",
            f"{prefix}/experiments/set-experiment-tag",
            {"experiment_id": where, "key": "k", "value": "v"},
        )
        on.http(
            "POST",
            f"{prefix}/experiments/search",
            {"max_results": 1, "filter": f"name = '{on.name(prefix)}'"},
        )
        on.http(
            "GET",
            f"{prefix}/experiments/search",
            params={"max_results": 1, "filter": f"name = '{on.name(prefix)}'"},
        )
        made = on.http(
            "POST",
            f"{prefix}/runs/create",
            {"experiment_id": where, "start_time": 5, "run_name": "r", "tags": [{"key": "t", "value": "v"}]},
        )
        run = made.json()["run"]["info"]["run_id"]
        on.http("POST", f"{prefix}/runs/log-metric", {"run_id": run, "key": "m", "value": 1, "timestamp": 5})
        on.http(
            "POST",
            f"{prefix}/runs/log-metric",
            {"run_uuid": run, "key": "m", "value": 1.5, "timestamp": 6, "step": 2},
        )
        on.http("POST", f"{prefix}/runs/log-parameter", {"run_id": run, "key": "p", "value": "1"})
        on.http("POST", f"{prefix}/runs/set-tag", {"run_id": run, "key": "x", "value": "1"})
        on.http("POST", f"{prefix}/runs/delete-tag", {"run_id": run, "key": "x"})
        on.http("POST", f"{prefix}/runs/log-batch", {"run_id": run})
        on.http("GET", f"{prefix}/runs/get", params={"run_id": run})
        on.http("GET", f"{prefix}/runs/get", params={"run_uuid": run})
        on.http("GET", f"{prefix}/metrics/get-history", params={"run_id": run, "metric_key": "m"})
        on.http("GET", f"{prefix}/metrics/get-history", params={"run_id": run, "metric_key": "absent"})
        on.http("POST", f"{prefix}/runs/search", {"experiment_ids": [where]})
        on.http("POST", f"{prefix}/runs/search", {"experiment_ids": [where], "run_view_type": "DELETED_ONLY"})
        on.http("POST", f"{prefix}/runs/update", {"run_id": run, "status": "FINISHED", "end_time": 9})
        on.http("POST", f"{prefix}/runs/delete", {"run_id": run})
        on.http("POST", f"{prefix}/runs/restore", {"run_id": run})
        made = on.http(
            "POST", f"{prefix}/logged-models", {"experiment_id": where, "name": "net", "source_run_id": run}
        )
        model = made.json()["model"]["info"]["model_id"]
        on.http("GET", f"{prefix}/logged-models/{model}")
        on.http("POST", f"{prefix}/runs/outputs", {"run_id": run, "models": [{"model_id": model, "step": 1}]})
        on.http("POST", f"{prefix}/logged-models/{model}/params", {"params": [{"key": "p", "value": "v"}]})
        on.http("PATCH", f"{prefix}/logged-models/{model}/tags", {"tags": [{"key": "t", "value": "v"}]})
        on.http("DELETE", f"{prefix}/logged-models/{model}/tags/t")
        on.http(
            "PATCH", f"{prefix}/logged-models/{model}", {"model_id": model, "status": "LOGGED_MODEL_READY"}
        )
        on.http("POST", f"{prefix}/logged-models/search", {"experiment_ids": [where]})
        on.http(
            "POST",
            f"{prefix}/runs/log-inputs",
            {
                "run_id": run,
                "datasets": [
                    {"dataset": {"name": "d", "digest": "1", "source_type": "local", "source": "s"}}
                ],
            },
        )
        on.http(
            "POST",
            f"{prefix}/runs/log-model",
            {
                "run_id": run,
                "model_json": '{"artifact_path": "m", "flavors": {}, "run_id": "'
                + run
                + '", "utc_time_created": "2026-01-01", "model_uuid": "u"}',
            },
        )
        on.http("GET", f"{prefix}/runs/get", params={"run_id": run})
        on.http("DELETE", f"{prefix}/logged-models/{model}")
        name = on.name(prefix.replace("/", "-"))
        on.http("POST", f"{prefix}/registered-models/create", {"name": name})
        on.http(
            "POST",
            f"{prefix}/model-versions/create",
            {"name": name, "source": f"runs:/{run}/m", "run_id": run},
        )
        on.http("POST", f"{prefix}/registered-models/alias", {"name": name, "alias": "a", "version": "1"})
        on.http("GET", f"{prefix}/registered-models/alias", params={"name": name, "alias": "a"})
        on.http("GET", f"{prefix}/registered-models/get", params={"name": name})
        on.http("GET", f"{prefix}/registered-models/search", params={"filter": f"name = '{name}'"})
        on.http("GET", f"{prefix}/model-versions/get", params={"name": name, "version": "1"})
        on.http("GET", f"{prefix}/model-versions/search", params={"filter": f"name = '{name}'"})
        on.http("GET", f"{prefix}/model-versions/get-download-uri", params={"name": name, "version": "1"})
        on.http("POST", f"{prefix}/registered-models/get-latest-versions", {"name": name})
        on.http("GET", f"{prefix}/registered-models/get-latest-versions", params={"name": name})
        on.http("PATCH", f"{prefix}/registered-models/update", {"name": name, "description": "d"})
        on.http(
            "PATCH", f"{prefix}/model-versions/update", {"name": name, "version": "1", "description": "d"}
        )
        on.http(
            "POST",
            f"{prefix}/model-versions/transition-stage",
            {"name": name, "version": "1", "stage": "Staging"},
        )
        on.http("POST", f"{prefix}/registered-models/set-tag", {"name": name, "key": "k", "value": "v"})
        on.http(
            "POST",
            f"{prefix}/model-versions/set-tag",
            {"name": name, "version": "1", "key": "k", "value": "v"},
        )
        on.http("DELETE", f"{prefix}/registered-models/delete-tag", {"name": name, "key": "k"})
        on.http("DELETE", f"{prefix}/model-versions/delete-tag", {"name": name, "version": "1", "key": "k"})
        on.http("DELETE", f"{prefix}/registered-models/alias", {"name": name, "alias": "a"})
        on.http("POST", f"{prefix}/registered-models/rename", {"name": name, "new_name": f"{name}-2"})
        on.http("DELETE", f"{prefix}/model-versions/delete", {"name": f"{name}-2", "version": "1"})
        on.http("DELETE", f"{prefix}/registered-models/delete", {"name": f"{name}-2"})
        on.http("POST", f"{prefix}/experiments/delete", {"experiment_id": where})
        on.http("POST", f"{prefix}/experiments/restore", {"experiment_id": where})


@differential
def test_addresses_that_are_no_part_of_the_api(on: On) -> None:
    on.http("GET", "/health")
    on.note("version", on.request("GET", "/version").status_code)
    on.http("GET", "/api/3.0/mlflow/server-info")
    on.http("GET", "/api/2.0/mlflow/nonsense")
    on.http("GET", "/api/2.0/nonsense")
    on.http("GET", "/api/2.0/mlflow/runs/nonsense")
    on.http("GET", "/api/2.0/mlflow/runs/search")
    on.http("PUT", "/api/2.0/mlflow/runs/create", {})
    on.http("DELETE", "/api/2.0/mlflow/runs/get")
    on.http("POST", "/api/2.0/mlflow/runs/get", {"run_id": ABSENT})
    on.http("POST", "/api/2.0/mlflow/runs/get/", {"run_id": ABSENT})


@differential
def test_a_request_that_names_no_json_is_refused(on: On) -> None:
    run = on.run(start_time=1)
    path, body = "/api/2.0/mlflow/runs/set-tag", f'{{"run_id": "{run}", "key": "k", "value": "v"}}'
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/xml",
        "",
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
    ):
        on.http("POST", path, data=body, headers={"Content-Type": kind})
    on.http("POST", path, data=body.encode(), headers={"Content-Type": None})
    for odd in (
        "",
        "{",
        "[]",
        "null",
        "5",
        '"text"',
        "{}",
        body + "x",
        body.replace('"v"', '"v", "unknown": 1'),
        '{"key": NaN}',
    ):
        on.http("POST", path, data=odd, headers=JSON)
    on.http("POST", path, data=b'{"run_id": "\xff"}', headers=JSON)
    on.http("POST", path, data=b"\x00", headers=JSON)
    on.http("POST", path, data="[" * 5000 + "]" * 5000, headers=JSON)
    on.http("POST", path, data=body.replace('"v"', '"a\\u0000b"'), headers=JSON)
    on.http("GET", "runs/get", params={"run_id": run})


@differential
def test_fields_of_another_type_are_taken_or_refused_as_mlflow_does(on: On) -> None:
    where = on.experiment()
    run = on.run(where, start_time=1)

    def metric(**fields: object) -> None:
        on.http(
            "POST",
            "runs/log-metric",
            {"run_id": run, "key": "m", "value": 1.0, "timestamp": 5, "step": 0} | fields,
        )

    for value in ("NaN", "Infinity", "-Infinity", "1.5", "inf", "x", None, True, [], {}, 1, "1e400", 1e308):
        metric(value=value)
    for number in ("7", 7, 7.0, "7.0", "x", "", None, [], {}, -1, -(2**63)):
        metric(timestamp=number)
        metric(step=number)
    metric(step="9223372036854775807")
    for key in (None, 5, "", [], {}, True):
        metric(key=key)
        metric(run_id=key)
    for missing in ("run_id", "key", "value", "timestamp", "step"):
        fields = {"run_id": run, "key": "m", "value": 1.0, "timestamp": 5, "step": 0}
        del fields[missing]
        on.http("POST", "runs/log-metric", fields)
    on.http("GET", "metrics/get-history", params={"run_id": run, "metric_key": "m"})
    on.http("GET", "runs/get", params={"run_id": run})


@differential
def test_what_mlflow_cannot_read_and_takes_for_nothing_is_refused(on: On) -> None:
    where = on.experiment()
    run = on.run(where, start_time=1)
    point = {"run_id": run, "key": "m", "value": 1.0, "timestamp": 5, "step": 0}
    for odd in (
        {"value": "nan"},
        {"value": ""},
        {"timestamp": 7.5},
        {"step": 7.5},
        {"timestamp": True},
        {"step": True},
    ):
        on.http("POST", "runs/log-metric", point | odd)
    for odd in ({"timestamp": 2**63}, {"step": 2**63}, {"timestamp": "9223372036854775807"}):
        on.http("POST", "runs/log-metric", point | odd)
    for word in ("NaN", "Infinity"):
        body = f'{{"run_id": "{run}", "key": "raw", "value": {word}, "timestamp": 1}}'
        on.http("POST", "runs/log-metric", data=body, headers=JSON)
    lone = f'{{"run_id": "{run}", "key": "k", "value": "a\\ud800b"}}'
    on.http("POST", "runs/set-tag", data=lone, headers=JSON)
    on.http("POST", "runs/create", {"experiment_id": where, "start_time": -1})
    on.http(
        "POST", "runs/create", {"experiment_id": where, "start_time": 12, "tags": [{"key": "", "value": "v"}]}
    )
    on.http("POST", "experiments/search", {"max_results": 1, "view_type": "NONSENSE"})
    on.http("POST", "runs/search", {"experiment_ids": [where], "run_view_type": "NONSENSE"})
    on.http("POST", "runs/search", {"experiment_ids": [where], "order_by": ["start_time"], "page_token": 5})
    on.http("POST", "logged-models/search", {"experiment_ids": [where], "order_by": ["name"]})
    on.http("POST", "runs/log-batch", {"run_id": run, "params": [{"key": "p1", "value": 5}]})
    on.http(
        "POST", "runs/log-batch", {"run_id": run, "metrics": [{"key": "m", "value": "x", "timestamp": 5}]}
    )
    on.http("POST", "runs/update", {"run_id": run, "end_time": -5})
    on.http("GET", "metrics/get-history", params={"run_id": run, "metric_key": "m", "max_results": "x"})


@differential
def test_runs_that_break_mlflows_database_break_nothing(on: On) -> None:
    where = on.experiment()
    on.http("POST", "runs/create", {})
    twice = [{"key": "k", "value": "1"}, {"key": "k", "value": "2"}]
    for tags in ([{"key": "k", "value": "x" * 9000}], twice):
        on.http("POST", "runs/create", {"experiment_id": where, "start_time": 3, "tags": tags})


@differential
def test_missing_and_odd_fields_are_named(on: On) -> None:
    where = on.experiment()
    run = on.run(where, start_time=1)
    for path, body in (
        ("experiments/create", {}),
        ("experiments/create", {"name": 5}),
        ("experiments/create", {"name": None}),
        ("experiments/create", {"name": []}),
        ("experiments/create", {"name": on.name("-t"), "tags": [{"key": "a"}]}),
        ("experiments/create", {"name": on.name("-u"), "tags": {"a": "b"}}),
        ("experiments/update", {"experiment_id": where}),
        ("experiments/update", {"new_name": "x"}),
        ("experiments/delete", {}),
        ("experiments/delete", {"experiment_id": "not a number"}),
        ("experiments/restore", {}),
        ("experiments/set-experiment-tag", {"experiment_id": where}),
        ("experiments/set-experiment-tag", {"experiment_id": where, "key": "k"}),
        ("experiments/search", {}),
        ("experiments/search", {"max_results": 1, "order_by": "name"}),
        ("runs/create", {"experiment_id": 5}),
        ("runs/create", {"experiment_id": "not a number"}),
        ("runs/create", {"experiment_id": where, "start_time": "x"}),
        ("runs/create", {"experiment_id": where, "start_time": 11, "tags": [{"key": "bad!", "value": "v"}]}),
        ("runs/create", {"experiment_id": where, "run_name": "chosen", "run_id": ABSENT, "start_time": 4}),
        ("runs/update", {}),
        ("runs/update", {"run_id": run}),
        ("runs/update", {"run_id": run, "status": "NONSENSE"}),
        ("runs/update", {"run_id": run, "status": "3"}),
        ("runs/update", {"run_id": run, "status": 3}),
        ("runs/delete", {}),
        ("runs/restore", {}),
        ("runs/log-parameter", {"run_id": run}),
        ("runs/log-parameter", {"run_id": run, "key": "k"}),
        ("runs/log-parameter", {"run_id": run, "key": "k", "value": 5}),
        ("runs/log-parameter", {"run_id": run, "key": "k2", "value": None}),
        ("runs/set-tag", {"run_id": run, "key": "k"}),
        ("runs/set-tag", {"run_id": run, "key": "k", "value": 5}),
        ("runs/set-tag", {"key": "k", "value": "5"}),
        ("runs/delete-tag", {"run_id": run}),
        ("runs/log-batch", {}),
        ("runs/log-batch", {"run_id": run, "metrics": {}}),
        ("runs/log-batch", {"run_id": run, "metrics": [{}]}),
        ("runs/log-batch", {"run_id": run, "metrics": [{"key": "m", "value": 1.0}]}),
        (
            "runs/log-batch",
            {"run_id": run, "metrics": [{"key": "m", "value": "NaN", "timestamp": "5", "step": "6"}]},
        ),
        ("runs/log-batch", {"run_id": run, "metrics": [5]}),
        ("runs/log-batch", {"run_id": run, "params": [{"key": "p"}]}),
        ("runs/log-batch", {"run_id": run, "params": [{"value": "p"}]}),
        ("runs/log-batch", {"run_id": run, "tags": [{"key": "t"}]}),
        ("runs/log-batch", {"run_id": run, "tags": "t"}),
        ("runs/log-inputs", {}),
        ("runs/log-inputs", {"run_id": run, "datasets": [{}]}),
        ("runs/log-inputs", {"run_id": run, "datasets": [{"dataset": {"name": "d"}}]}),
        ("runs/outputs", {}),
        ("runs/outputs", {"run_id": run, "models": [{}]}),
        ("runs/log-model", {"run_id": run, "model_json": "{"}),
        ("runs/log-model", {"run_id": run, "model_json": "{}"}),
        ("runs/search", {}),
        ("runs/search", {"experiment_ids": where}),
        ("runs/search", {"experiment_ids": [5]}),
        ("runs/search", {"experiment_ids": [where], "max_results": "2"}),
        ("runs/search", {"experiment_ids": [where], "run_view_type": 1}),
        ("runs/search", {"experiment_ids": [where], "filter": 5}),
        ("logged-models", {}),
        ("logged-models", {"experiment_id": where, "name": 5}),
        ("logged-models", {"experiment_id": where, "name": "n", "params": [{"key": "k"}]}),
        ("logged-models/search", {}),
        ("registered-models/create", {}),
        ("registered-models/create", {"name": 5}),
        ("registered-models/rename", {"name": "x"}),
        ("registered-models/set-tag", {"name": "x"}),
        ("registered-models/alias", {"name": "x"}),
        ("registered-models/get-latest-versions", {}),
        ("model-versions/create", {}),
        ("model-versions/create", {"name": "x"}),
        ("model-versions/transition-stage", {"name": "x", "version": "1"}),
        ("model-versions/set-tag", {"name": "x", "version": "1"}),
    ):
        on.http("POST", path, body)
    for path, params in (
        ("experiments/get", {}),
        ("experiments/get", {"experiment_id": "not a number"}),
        ("experiments/get", {"experiment_id": ""}),
        ("experiments/get", {"experiment_id": "-1"}),
        ("experiments/get", {"experiment_id": "99999999999999999999"}),
        ("experiments/get-by-name", {}),
        ("experiments/get-by-name", {"experiment_name": ""}),
        ("runs/get", {}),
        ("runs/get", {"run_id": ""}),
        ("runs/get", {"run_id": [run, ABSENT]}),
        ("runs/get", {"run_id": run, "unknown": "x"}),
        ("metrics/get-history", {"run_id": run}),
        ("metrics/get-history", {"metric_key": "m"}),
        ("metrics/get-history", {"run_id": run, "metric_key": "m", "max_results": "0"}),
        ("metrics/get-history", {"run_id": run, "metric_key": "m", "max_results": "-1"}),
        ("metrics/get-history", {"run_id": run, "metric_key": "m", "max_results": "25001"}),
        ("metrics/get-history", {"run_id": run, "metric_key": "m", "page_token": "junk", "max_results": "5"}),
        ("experiments/search", {"max_results": "x"}),
        ("registered-models/get", {}),
        ("registered-models/search", {"max_results": "x"}),
        ("registered-models/alias", {"name": "x"}),
        ("model-versions/get", {"name": "x"}),
        ("model-versions/search", {"max_results": "-1"}),
        ("model-versions/get-download-uri", {}),
    ):
        on.http("GET", path, params=params)
    on.http("GET", "runs/get", params={"run_id": run})


@differential
def test_values_that_are_not_numbers_are_written_as_mlflow_writes_them(on: On) -> None:
    where = on.experiment()
    run = on.run(where, start_time=1)
    for number, value in enumerate(
        (math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, 1e16, 123456789.123456789, 0.1)
    ):
        on.client.log_metric(run, f"m{number}", value, timestamp=1)
    answer = on.request("GET", "runs/get", params={"run_id": run})
    values = sorted(answer.text.replace(" ", "").replace("\n", "").split('"value":')[1:])
    on.note("as text", [value.partition(",")[0] for value in values])
    on.http("GET", "metrics/get-history", params={"run_id": run, "metric_key": "m0"})


@differential
def test_what_is_out_of_scope_is_not_taken_for_something_else(on: On) -> None:
    for method, path in (
        ("POST", "/graphql"),
        ("POST", "/api/2.0/mlflow/webhooks"),
        ("GET", "/api/3.0/mlflow/traces/tr-1"),
    ):
        answer = on.request(method, path, {} if method == "POST" else None)
        on.note(f"{method} {path}", answer.status_code < 400)
