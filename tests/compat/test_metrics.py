"""Metrics: values, steps, times, histories, the latest of a key, batches and their limits."""

import math

from mlflow.entities import Metric, Param, RunTag

from tests.compat.differential import On, differential

ABSENT = "0" * 32


@differential
def test_values_come_back_as_they_went(on: On) -> None:
    run = on.run(start_time=1)
    values = [
        0.0,
        -0.0,
        1,
        -1.5,
        1e308,
        5e-324,
        0.1 + 0.2,
        math.pi,
        2**53 + 1,
        True,
        math.inf,
        -math.inf,
        math.nan,
    ]
    for number, value in enumerate(values):
        on.see(on.client.log_metric, run, f"v{number}", value, timestamp=number, step=number)
        on.see(on.client.get_metric_history, run, f"v{number}")
    on.see(on.client.get_run, run)
    for value in ("text", None, [1.0], "1.5", "nan"):
        on.see(on.client.log_metric, run, "odd", value, timestamp=1)
    on.see(on.client.get_run, run)


@differential
def test_steps_and_times_may_be_anything_that_mlflow_takes(on: On) -> None:
    run = on.run(start_time=1)
    for step in (None, 0, -1, 2**31, 2**62, -(2**62), 1.0, 1.5, "3", "x"):
        on.see(on.client.log_metric, run, "steps", 1.0, timestamp=5, step=step)
    for timestamp in (0, 1, -1, 2**47, "7", "x", 1.5):
        on.see(on.client.log_metric, run, "times", 1.0, timestamp=timestamp, step=0)
    on.see(on.client.get_metric_history, run, "steps")
    on.see(on.client.get_metric_history, run, "times")
    on.see(on.client.log_metric, run, "now", 1.0)
    on.see(on.client.get_metric_history, run, "now")
    on.see(on.client.get_metric_history, run, "never")
    on.see(on.client.get_metric_history, ABSENT, "m")


@differential
def test_a_time_in_nanoseconds_is_refused(on: On) -> None:
    run = on.run(start_time=1)
    on.see(on.client.log_metric, run, "times", 1.0, timestamp=1_700_000_000_000_000_000)


@differential
def test_keys_of_metrics_are_checked(on: On) -> None:
    run = on.run(start_time=1)
    for key in (
        "a/b",
        "a b",
        "a.b-c:d_e",
        "ünï",
        "x" * 250,
        "",
        "x" * 251,
        "..",
        "a/../b",
        "/a",
        "a//b",
        "./a",
        "a!b",
        None,
    ):
        on.see(on.client.log_metric, run, key, 1.0, timestamp=1)
    on.see(on.client.log_metric, ABSENT, "m", 1.0)
    on.see(on.client.get_run, run)


@differential
def test_the_latest_is_the_greatest_by_step_then_time_then_value(on: On) -> None:
    run = on.run(start_time=1)
    points = {
        "by step": [(1.0, 5, 3), (2.0, 9, 2), (3.0, 1, 1)],
        "by time": [(1.0, 5, 3), (2.0, 9, 3), (3.0, 1, 3)],
        "by value": [(1.0, 5, 3), (7.0, 5, 3), (3.0, 5, 3)],
        "nan first": [(math.nan, 5, 3), (7.0, 5, 3)],
        "nan last": [(7.0, 5, 3), (math.nan, 5, 3)],
        "nan later": [(7.0, 5, 3), (math.nan, 6, 3)],
        "inf": [(1e300, 5, 3), (math.inf, 5, 3), (-math.inf, 5, 3)],
        "negative step": [(1.0, 5, -3), (2.0, 5, -4)],
        "twice": [(1.0, 5, 3), (1.0, 5, 3), (1.0, 5, 3)],
    }
    for key, given in points.items():
        for value, timestamp, step in given:
            on.see(on.client.log_metric, run, key, value, timestamp=timestamp, step=step)
        on.see(on.client.get_metric_history, run, key)
    on.see(on.client.get_run, run)


@differential
def test_a_history_is_ordered_by_time_then_step_then_value(on: On) -> None:
    run = on.run(start_time=1)
    given = [
        (4, 9, 1.0),
        (2, 9, 1.0),
        (3, 1, 5.0),
        (3, 1, 4.0),
        (3, 2, 0.0),
        (1, 5, 2.0),
        (1, 5, math.nan),
        (1, 5, math.inf),
    ]
    batch = [Metric("m", value, timestamp, step) for timestamp, step, value in given]
    on.see(on.client.log_batch, run, metrics=batch)
    on.see(on.client.log_batch, run, metrics=batch[:3])
    on.see(on.client.get_metric_history, run, "m")
    on.see(on.client.get_run, run)


@differential
def test_a_long_history_comes_whole_and_in_pages(on: On) -> None:
    run = on.run(start_time=1)
    for begin in range(0, 3000, 1000):
        metrics = [Metric("m", float(n % 7), n // 2, n) for n in range(begin, begin + 1000)]
        on.client.log_batch(run, metrics=metrics)
    on.see(on.client.get_metric_history, run, "m")
    path = "metrics/get-history"
    page = on.http("GET", path, params={"run_id": run, "metric_key": "m", "max_results": 1200}).json()
    while token := page.get("next_page_token"):
        page = on.http(
            "GET", path, params={"run_id": run, "metric_key": "m", "max_results": 1200, "page_token": token}
        ).json()


@differential
def test_a_batch_is_taken_whole_or_not_at_all(on: On) -> None:
    run = on.run(start_time=1)
    metrics = [Metric("a", 1.0, 1, 0), Metric("b", 2.0, 1, 0)]
    params, tags = [Param("p", "1"), Param("q", "2")], [RunTag("t", "1"), RunTag("u", "2")]
    on.see(on.client.log_batch, run, metrics, params, tags)
    on.see(on.client.get_run, run)
    on.see(on.client.log_batch, run)
    on.see(on.client.log_batch, run, metrics, params, tags)
    on.see(on.client.log_batch, run, [Metric("c", 1.0, 1, 0)], [Param("p", "other")], [RunTag("v", "1")])
    on.see(on.client.get_run, run)
    on.see(on.client.log_batch, run, [Metric("c", 1.0, 1, 0)], [Param("x", "1"), Param("x", "1")])
    on.see(on.client.log_batch, run, [Metric("c", 1.0, 1, 0)], [Param("x", "1"), Param("x", "2")])
    on.see(on.client.log_batch, run, [], [], [RunTag("twice", "1"), RunTag("twice", "2")])
    on.see(on.client.log_batch, run, [Metric("c", 1.0, 1, 0), Metric("bad!", 1.0, 1, 0)], [Param("y", "1")])
    on.see(on.client.log_batch, run, [Metric("c", 1.0, -1, 0)], [Param("y", "1")])
    on.see(on.client.log_batch, run, [], [Param("y", "1"), Param("z", "x" * 6001)])
    on.see(on.client.log_batch, run, [], [Param("y", "1")], [RunTag("z", "x" * 8001)])
    on.see(on.client.log_batch, run, [], [Param("y", "1")], [RunTag("/z", "1")])
    on.see(on.client.log_batch, ABSENT, metrics)
    on.see(on.client.get_run, run)


@differential
def test_a_batch_has_its_limits(on: On) -> None:
    run = on.run(start_time=1)

    def batch(metrics: int, params: int, tags: int) -> dict[str, object]:
        return {
            "run_id": run,
            "metrics": [{"key": f"m{n}", "value": n, "timestamp": n, "step": n} for n in range(metrics)],
            "params": [{"key": f"p{n}", "value": str(n)} for n in range(params)],
            "tags": [{"key": f"t{n}", "value": str(n)} for n in range(tags)],
        }

    for sizes in (
        (1000, 0, 0),
        (1001, 0, 0),
        (0, 100, 0),
        (0, 101, 0),
        (0, 0, 100),
        (0, 0, 101),
        (800, 100, 100),
        (801, 100, 100),
    ):
        on.http("POST", "runs/log-batch", batch(*sizes))
    on.see(on.client.get_run, run)
    on.see(
        on.client.log_batch,
        run,
        [Metric(f"many{n}", 1.0, 1, 0) for n in range(2500)],
        [Param(f"many{n}", "1") for n in range(250)],
    )
    on.see(on.client.get_run, run)


@differential
def test_bulk_histories(on: On) -> None:
    where = on.experiment()
    runs = [on.run(where, start_time=number) for number in range(3)]
    for number, run in enumerate(runs):
        on.client.log_batch(run, [Metric("m", float(step * number), step, step) for step in range(100)])
        on.client.log_batch(run, [Metric("n", float(step), 5, step) for step in range(0, 100, 7)])
    bulk, interval = "/ajax-api/2.0/mlflow/metrics/get-history-bulk", "metrics/get-history-bulk-interval"

    def by_run(path: str, **params: object) -> None:
        # they come ordered by run id, which is drawn by lot
        found = on.request("GET", path, params=params).json()["metrics"]
        on.note(
            f"{path} {params.keys()}",
            sorted(found, key=lambda point: (runs.index(point["run_id"]), point["step"])),
        )

    by_run(bulk, run_id=runs, metric_key="m")
    on.http("GET", bulk, params={"run_id": runs[:1], "metric_key": "m", "max_results": 25})
    on.http("GET", bulk, params={"run_id": runs[:1], "metric_key": "absent"})
    on.http("GET", bulk, params={"run_id": runs[:1]})
    on.http("GET", bulk, params={"metric_key": "m"})
    on.http("GET", bulk, params={"run_id": [ABSENT], "metric_key": "m"})
    on.http("GET", bulk, params={"run_id": runs * 34, "metric_key": "m"})
    for extra in (
        {},
        {"max_results": 10},
        {"start_step": 20, "end_step": 40},
        {"start_step": 20, "end_step": 40, "max_results": 5},
    ):
        by_run(interval, run_ids=runs, metric_key="m", **extra)
        on.http(
            "GET", "/ajax-api/2.0/mlflow/" + interval, params={"run_ids": runs[:1], "metric_key": "n"} | extra
        )
    on.http("GET", interval, params={"run_ids": runs, "metric_key": "m", "start_step": 20})
    on.http("GET", interval, params={"run_ids": runs, "metric_key": "m", "start_step": 40, "end_step": 20})
    on.http("GET", interval, params={"run_ids": runs, "metric_key": "m", "max_results": 0})
    on.http("GET", interval, params={"run_ids": runs, "metric_key": "m", "max_results": 2501})
    on.http("GET", interval, params={"run_ids": runs, "metric_key": "m", "max_results": "x"})
    on.http("GET", interval, params={"run_ids": runs})
    on.http("GET", interval, params={"metric_key": "m"})
    on.http("GET", interval, params={"run_ids": [ABSENT], "metric_key": "m"})
    on.http("GET", interval, params={"run_ids": runs * 34, "metric_key": "m"})
