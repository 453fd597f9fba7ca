"""What the client asked for while the other tests ran: every request is one that Runstone implements."""

from collections import Counter

from tests.compat.recording_proxy import Trace, route_of

NOT_IMPLEMENTED: dict[tuple[str, str], str] = {}
"""(method, route) of requests that Runstone refuses on purpose, and why."""


def test_every_request_of_the_client_is_implemented(trace: Trace) -> None:
    assert trace.exchanges, "nothing was recorded: this test judges the others of its session"
    refused = Counter(
        (exchange.method, exchange.route, exchange.status, exchange.refusal)
        for exchange in trace.exchanges
        if exchange.refusal in {"ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED"} or exchange.status in {405, 501}
        if (exchange.method, exchange.route) not in NOT_IMPLEMENTED
    )
    assert not refused, f"{len(refused)} of {len(set(trace.exchanges))} kinds of requests are not answered"


def test_no_request_of_the_client_met_a_fault(trace: Trace) -> None:
    # a state that does not allow the request is a 500 in MLflow's protocol as well
    faults = Counter(
        (exchange.method, exchange.route, exchange.status, exchange.refusal)
        for exchange in trace.exchanges
        if exchange.status >= 500 and exchange.refusal not in {"INVALID_STATE", "NOT_IMPLEMENTED"}
    )
    assert not faults


def test_a_route_names_what_varies_in_an_address() -> None:
    model = "m-" + "0" * 32
    assert route_of("/ajax-api/2.0/mlflow/runs/get") == "/api/2.0/mlflow/runs/get"
    assert route_of(f"/api/2.0/mlflow/logged-models/{model}") == "/api/2.0/mlflow/logged-models/{model_id}"
    assert route_of(f"/api/2.0/mlflow/logged-models/{model}/tags/a b").endswith("/{model_id}/tags/{key}")
    assert route_of("/api/2.0/mlflow-artifacts/artifacts/0/a/b.txt").endswith("/artifacts/{path}")
    assert route_of("/api/2.0/mlflow-artifacts/artifacts").endswith("/artifacts")
