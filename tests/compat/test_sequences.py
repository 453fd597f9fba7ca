"""Made-up sequences of calls: whatever a client does in whatever order, both servers answer the same."""

import math
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mlflow.entities import Metric, Param, RunTag, ViewType

from tests.compat.canonical import differences
from tests.compat.differential import On, on_both
from tests.compat.servers import Server

KEYS = st.sampled_from(["a", "b", "c d"])
VALUES = st.sampled_from([0.0, -1.5, 2.25, math.nan, math.inf, -math.inf])
SMALL = st.integers(0, 3)
WORDS = st.sampled_from(["x", "y", ""])
FILTERS = st.sampled_from(
    [
        "",
        "metrics.a > 0",
        "metrics.a != 0",
        "params.a = 'x'",
        "params.b != 'x'",
        "tags.a LIKE '%'",
        "status = 'FINISHED'",
    ]
)
ORDERS = st.sampled_from(
    [["metrics.a", "start_time"], ["params.a DESC", "start_time"], ["start_time"], ["end_time", "start_time"]]
)

CALLS = st.one_of(
    st.tuples(st.just("log_metric"), SMALL, KEYS, VALUES, SMALL, SMALL),
    st.tuples(st.just("log_param"), SMALL, KEYS, WORDS),
    st.tuples(st.just("set_tag"), SMALL, KEYS, WORDS),
    st.tuples(st.just("delete_tag"), SMALL, KEYS),
    st.tuples(
        st.just("batch"),
        SMALL,
        st.lists(st.tuples(KEYS, VALUES, SMALL, SMALL), max_size=4),
        st.lists(st.tuples(KEYS, WORDS), max_size=3),
        st.lists(st.tuples(KEYS, WORDS), max_size=3),
    ),
    st.tuples(st.just("terminate"), SMALL, st.sampled_from(["FINISHED", "FAILED", "KILLED"]), SMALL),
    st.tuples(st.just("rename"), SMALL, WORDS),
    st.tuples(st.just("delete"), SMALL),
    st.tuples(st.just("restore"), SMALL),
    st.tuples(st.just("read"), SMALL),
    st.tuples(st.just("history"), SMALL, KEYS),
    st.tuples(
        st.just("search"),
        FILTERS,
        ORDERS,
        st.sampled_from([ViewType.ACTIVE_ONLY, ViewType.ALL, ViewType.DELETED_ONLY]),
    ),
)


def carry_out(on: On, where: str, runs: list[str], call: tuple[Any, ...]) -> None:
    client = on.client
    match call:
        case ("log_metric", run, key, value, step, time):
            on.see(client.log_metric, runs[run], key, value, timestamp=time, step=step)
        case ("log_param", run, key, value):
            on.see(client.log_param, runs[run], key, value)
        case ("set_tag", run, key, value):
            on.see(client.set_tag, runs[run], key, value)
        case ("delete_tag", run, key):
            on.see(client.delete_tag, runs[run], key)
        case ("batch", run, metrics, params, tags):
            points = [Metric(key, value, time, step) for key, value, step, time in metrics]
            on.see(
                client.log_batch, runs[run], points, [Param(*p) for p in params], [RunTag(*t) for t in tags]
            )
        case ("terminate", run, status, time):
            on.see(client.set_terminated, runs[run], status, time)
        case ("rename", run, name):
            on.see(client.update_run, runs[run], name=name)
        case ("delete", run):
            on.see(client.delete_run, runs[run])
        case ("restore", run):
            on.see(client.restore_run, runs[run])
        case ("read", run):
            on.see(client.get_run, runs[run])
        case ("history", run, key):
            on.see(client.get_metric_history, runs[run], key)
        case ("search", text, order, view):
            on.see(client.search_runs, [where], text, view, 2, order)


def test_made_up_sequences_of_calls_have_equal_results(servers: tuple[Server, Server]) -> None:
    example = 0

    @hypothesis.seed(4)
    @settings(
        max_examples=20,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        stateful_step_count=30,
    )
    @given(st.lists(CALLS, min_size=8, max_size=20))
    def check(calls: list[tuple[Any, ...]]) -> None:
        nonlocal example
        example += 1

        def play(on: On) -> None:
            where = on.experiment(f"-{example}")
            runs = [on.run(where, start_time=number) for number in range(4)]
            for call in calls:
                carry_out(on, where, runs, call)
            on.see(on.client.search_runs, [where], run_view_type=ViewType.ALL, order_by=["start_time"])

        expected, got = on_both(play, servers, "made_up_sequence")
        assert not list(differences(expected.seen, got.seen)), list(differences(expected.seen, got.seen))

    check()
