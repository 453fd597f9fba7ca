"""Native writes through the gateway: what they answer is what can be read, and refusals changed nothing."""

import asyncio
import io
import json

from runstone_query import snapshot
from tests.fix_stack import Stack, another_gateway
from tests.integration.test_mlflow_writes import done, run_in

JSON = {"Content-Type": "application/json"}
RUNS = "/api/v1/runs"
EXPERIMENTS = "/api/v1/experiments"


async def ask(stack: Stack, method: str, path: str, body: object = None, **headers: str):
    """Status, content type and JSON of the answer."""
    sent = None if body is None else io.BytesIO(json.dumps(body).encode())
    given = headers or ({} if body is None else JSON)
    async with stack.client.request(method, path, data=sent, headers=given) as answer:
        return answer.status, answer.content_type, json.loads(await answer.read())


async def changed(stack: Stack, method: str, path: str, body: object = None):
    status, _, found = await ask(stack, method, path, body)
    assert (status, found["applied"]) == (200, True), found
    return found


async def refused(stack: Stack, method: str, path: str, body: object = None, **headers: str):
    status, kind, found = await ask(stack, method, path, body, **headers)
    assert kind == "application/problem+json"
    assert found["status"] == status
    return status, found["type"].removeprefix("urn:runstone:problem:"), found["detail"]


async def test_a_run_is_deleted_and_restored_and_the_answer_says_whether_that_changed_anything(stack):
    run_id = await run_in(stack)
    found = await changed(stack, "DELETE", f"{RUNS}/{run_id}")
    assert found["changed"]
    assert found["run"]["run_id"] == run_id
    assert found["run"]["lifecycle_stage"] == "deleted"
    assert not (await changed(stack, "DELETE", f"{RUNS}/{run_id}"))["changed"]
    found = await changed(stack, "POST", f"{RUNS}/{run_id}/restore", {})
    assert (found["changed"], found["run"]["lifecycle_stage"]) == (True, "active")
    assert not (await changed(stack, "POST", f"{RUNS}/{run_id}/restore", {}))["changed"]
    await done(stack, "/runs/set-tag", run_id=run_id, key="k", value="v")  # MLflow's surface knows it as well


async def test_a_run_of_a_deleted_experiment_keeps_a_flag_of_its_own(stack):
    made = await done(stack, "/experiments/create", name="of two runs")
    one, other = [await run_in(stack, made["experiment_id"]) for _ in range(2)]
    experiment = f"{EXPERIMENTS}/{made['experiment_id']}"
    assert (await changed(stack, "DELETE", experiment))["changed"]
    found = await changed(stack, "DELETE", f"{RUNS}/{one}")
    assert (found["changed"], found["experiment_deleted"]) == (True, True)
    assert (await changed(stack, "POST", f"{RUNS}/{other}/restore", {}))["experiment_deleted"]
    await changed(stack, "POST", f"{experiment}/restore", {})
    stages = [(await ask(stack, "GET", f"{RUNS}/{run_id}"))[2]["lifecycle_stage"] for run_id in (one, other)]
    assert stages == ["deleted", "active"]


async def test_tags_are_set_and_deleted_in_one_request(stack):
    run_id = await run_in(stack, tags=[{"key": "old", "value": "1"}, {"key": "same", "value": "2"}])
    wanted = {"set": {"new/key": "größe", "same": "2", "mlflow.runName": "renamed"}, "delete": ["old"]}
    found = await changed(stack, "POST", f"{RUNS}/{run_id}/tags", wanted)
    assert found["changed"]
    assert found["run"]["name"] == "renamed"
    assert {"new/key": "größe", "same": "2"}.items() <= found["run"]["tags"].items()
    assert "old" not in found["run"]["tags"]
    assert not (await changed(stack, "POST", f"{RUNS}/{run_id}/tags", wanted))["changed"]


async def test_a_write_that_cannot_be_read_in_time_says_so_and_is_made_all_the_same(stack, monkeypatch):
    run_id = await run_in(stack)
    await changed(stack, "POST", f"{RUNS}/{run_id}/tags", {"set": {"k": "v"}})
    monkeypatch.setattr(snapshot, "WAIT_MAX_S", 0.3)
    async with stack.database.connection.transaction():
        await stack.database.connection.execute("LOCK TABLE runs IN SHARE MODE")  # the worker waits
        status, _, found = await ask(stack, "DELETE", f"{RUNS}/{run_id}")
    assert (status, found) == (
        202,
        {"changed": True, "applied": False, "experiment_deleted": False, "run": None},
    )
    monkeypatch.undo()
    found = await changed(stack, "DELETE", f"{RUNS}/{run_id}")
    assert (found["changed"], found["run"]["lifecycle_stage"]) == (False, "deleted")


async def test_an_experiment_is_renamed_deleted_and_restored_by_the_verdict_of_the_catalog(stack):
    made = [(await done(stack, "/experiments/create", name=name))["experiment_id"] for name in ("a", "b")]
    a, b = (f"{EXPERIMENTS}/{experiment_id}" for experiment_id in made)
    found = await changed(stack, "PATCH", a, {"name": "größer"})
    assert (found["changed"], found["experiment"]["name"]) == (True, "größer")
    assert not (await changed(stack, "PATCH", a, {"name": "größer"}))["changed"]
    assert (await refused(stack, "PATCH", a, {"name": "b"}))[:2] == (409, "conflict")
    async with another_gateway(stack) as second:  # names are unique whatever gateway is asked
        sides = [
            client.patch(path, data=io.BytesIO(b'{"name": "wanted"}'), headers=JSON)
            for client, path in ((stack.client, a), (second, b))
        ]
        answers = await asyncio.gather(*sides)
        assert sorted(answer.status for answer in answers) == [200, 409]
        for answer in answers:
            answer.release()
    found = await changed(stack, "DELETE", a)
    assert (found["changed"], found["experiment"]["lifecycle_stage"]) == (True, "deleted")
    assert not (await changed(stack, "DELETE", a))["changed"]
    status, kind, detail = await refused(stack, "PATCH", a, {"name": "c"})
    assert (status, kind) == (409, "conflict")
    assert "restore it before" in detail
    assert (await changed(stack, "POST", f"{a}/restore", {}))["changed"]
    assert not (await changed(stack, "POST", f"{a}/restore", {}))["changed"]


async def test_what_is_not_there_is_404(stack):
    run = f"{RUNS}/{'0' * 32}"
    for method, path, body in (
        ("DELETE", run, None),
        ("POST", f"{run}/restore", {}),
        ("POST", f"{run}/tags", {"set": {"k": "v"}}),
        ("DELETE", f"{EXPERIMENTS}/77", None),
        ("PATCH", f"{EXPERIMENTS}/77", {"name": "n"}),
        ("DELETE", f"{RUNS}/a%00b", None),
    ):
        assert (await refused(stack, method, path, body))[:2] == (404, "not-found")


async def test_bad_input_is_a_problem_and_changes_nothing(stack):
    run = f"{RUNS}/{await run_in(stack)}"
    long = "x" * 8001
    for method, path, body in (
        ("POST", f"{run}/tags", {}),
        ("POST", f"{run}/tags", {"set": {"k": 1}}),
        ("POST", f"{run}/tags", {"set": {"": "v"}}),
        ("POST", f"{run}/tags", {"set": {"k": long}}),
        ("POST", f"{run}/tags", {"set": {"mlflow.runName": ""}}),
        ("POST", f"{run}/tags", {"set": {"k": "v"}, "delete": ["k"]}),
        ("POST", f"{run}/tags", {"delete": "k"}),
        ("POST", f"{run}/tags", {"sets": {}}),
        ("POST", f"{run}/tags", []),
        ("POST", f"{run}/restore", {"x": 1}),
        ("DELETE", f"{run}?x=1", None),
        ("PATCH", f"{EXPERIMENTS}/x", {"name": "n"}),
        ("PATCH", f"{EXPERIMENTS}/0", {"name": ""}),
        ("PATCH", f"{EXPERIMENTS}/0", {}),
        ("DELETE", f"{EXPERIMENTS}/{2**53}", None),
    ):
        status, kind, detail = await refused(stack, method, path, body)
        assert (status, kind) == (400, "invalid-input"), (path, body, detail)
    # what a browser sends of another page's form is not taken
    assert (await refused(stack, "POST", f"{run}/restore", {}, **{"Content-Type": "text/plain"}))[0] == 415
    assert (await refused(stack, "POST", f"{run}/tags", {"set": {"k": "x" * 2**21}}))[0] == 413
    found = (await ask(stack, "GET", run))[2]
    assert (found["lifecycle_stage"], set(found["tags"])) == ("active", {"mlflow.runName"})


async def test_the_read_api_has_what_the_gateway_does_not_serve(stack):
    run_id = await run_in(stack)
    assert (await ask(stack, "GET", f"{RUNS}/{run_id}"))[0] in {200, 404}
    assert (await refused(stack, "PUT", f"{RUNS}/{run_id}"))[0] == 405
