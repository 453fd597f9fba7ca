"""MLflow's writes through the gateway: what is accepted can be read, what is refused left nothing."""

import asyncio
import io
import json
import uuid

import aiohttp
from yarl import URL

from runstone_gateway.mlflow import rules
from tests.fix_stack import Stack

API = "/api/2.0/mlflow"
JSON = {"Content-Type": "application/json"}


async def post(stack: Stack, path: str, **body):
    sent = io.BytesIO(json.dumps(body).encode())
    async with stack.client.post(API + path, data=sent, headers=JSON) as answer:
        found = await answer.json()
        return (answer.status, found)


async def done(stack: Stack, path: str, **body):
    status, found = await post(stack, path, **body)
    assert status == 200, found
    return found


async def refusal(stack: Stack, path: str, **body):
    status, found = await post(stack, path, **body)
    return status, found.get("error_code"), found.get("message", "")


async def run_in(stack: Stack, experiment_id: str = "0", **more) -> str:
    found = await done(stack, "/runs/create", experiment_id=experiment_id, **more)
    return found["run"]["info"]["run_id"]


async def fact(stack: Stack, run_id: str):
    """The run as the native API tells it, with everything that was written before."""
    path = f"/api/v1/runs/{run_id}"
    async with stack.client.get(path, params={"consistent": "true"}) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def test_an_experiment_is_created_renamed_deleted_and_restored(stack):
    name = "größe / 1"
    made = await done(stack, "/experiments/create", name=name, tags=[{"key": "team", "value": "a"}])
    experiment_id = made["experiment_id"]
    status, code, message = await refusal(stack, "/experiments/create", name=name)
    assert (status, code) == (400, "RESOURCE_ALREADY_EXISTS")
    assert message.startswith(f"Experiment(name={name}) already exists.")
    await done(stack, "/experiments/update", experiment_id=experiment_id, new_name="other")
    other = await done(stack, "/experiments/create", name=name)
    assert other["experiment_id"] != experiment_id
    taken = await refusal(stack, "/experiments/update", experiment_id=experiment_id, new_name=name)
    assert taken[:2] == (400, "BAD_REQUEST")
    await done(stack, "/experiments/delete", experiment_id=experiment_id)
    again = await refusal(stack, "/experiments/delete", experiment_id=experiment_id)
    assert again == (404, "RESOURCE_DOES_NOT_EXIST", f"No Experiment with id={experiment_id} exists")
    status, _, message = await refusal(stack, "/experiments/create", name="other")
    assert (status, "deleted state" in message) == (400, True)
    renamed = await refusal(stack, "/experiments/update", experiment_id=experiment_id, new_name="x")
    assert renamed[1] == "INVALID_STATE"
    await done(stack, "/experiments/restore", experiment_id=experiment_id)
    await done(stack, "/experiments/update", experiment_id=experiment_id, new_name="x")
    assert (await refusal(stack, "/experiments/restore", experiment_id=experiment_id))[0] == 404


async def test_tags_of_an_experiment_are_set_and_deleted_and_refused_when_it_is_deleted(stack):
    made = await done(stack, "/experiments/create", name="e")
    named = {"experiment_id": made["experiment_id"], "key": "k"}
    await done(stack, "/experiments/set-experiment-tag", **named, value="v")
    await done(stack, "/experiments/delete-experiment-tag", **named)
    status, _, message = await refusal(stack, "/experiments/delete-experiment-tag", **named)
    assert (status, message) == (404, f"No tag with name: k in experiment with id {named['experiment_id']}")
    await done(stack, "/experiments/delete", experiment_id=named["experiment_id"])
    status, _, message = await refusal(stack, "/experiments/set-experiment-tag", **named, value="v")
    assert (status, message) == (
        400,
        f"The experiment {named['experiment_id']} must be in the 'active' state. Current state is deleted.",
    )


async def test_fifty_simultaneous_creations_of_one_experiment_make_one(stack):
    answers = await asyncio.gather(*(post(stack, "/experiments/create", name="one") for _ in range(50)))
    assert sorted(status for status, _ in answers) == [200] + [400] * 49
    assert {found["error_code"] for status, found in answers if status == 400} == {"RESOURCE_ALREADY_EXISTS"}


async def test_a_run_is_created_with_what_native_readers_look_for(stack):
    parent = await run_in(stack)
    tags = {
        "mlflow.user": "bob", "mlflow.source.name": "train.py", "mlflow.source.git.commit": "abc",
        "mlflow.parentRunId": parent, "own": "1",
    }  # fmt: skip
    body = {"start_time": 1000, "run_name": "n", "tags": [{"key": k, "value": v} for k, v in tags.items()]}
    made = await done(stack, "/runs/create", experiment_id="0", **body)
    info = made["run"]["info"]
    run_id = info["run_id"]
    assert info == {
        "run_id": run_id, "run_uuid": run_id, "run_name": "n", "experiment_id": "0", "user_id": "bob",
        "status": "RUNNING", "start_time": 1000, "lifecycle_stage": "active",
        "artifact_uri": f"mlflow-artifacts:/0/{run_id}/artifacts",
    }  # fmt: skip
    assert {t["key"]: t["value"] for t in made["run"]["data"]["tags"]} == tags | {"mlflow.runName": "n"}
    assert made["run"]["inputs"] == {}
    found = await fact(stack, run_id)
    assert (found["name"], found["user"], found["parent_run_id"]) == ("n", "bob", parent)
    assert found["context"]["source"] == "train.py"
    assert found["context"]["git_commit"] == "abc"
    assert found["tags"] == tags | {"mlflow.runName": "n"}


async def test_a_run_ends_and_its_name_and_its_tag_are_one(stack):
    run_id = await run_in(stack, start_time=5)
    ended = await done(stack, "/runs/update", run_id=run_id, status="FINISHED", end_time=70, run_name="b")
    assert ended["run_info"]["status"] == "FINISHED"
    assert (ended["run_info"]["end_time"], ended["run_info"]["run_name"]) == (70, "b")
    assert (await fact(stack, run_id))["tags"]["mlflow.runName"] == "b"
    await done(stack, "/runs/set-tag", run_id=run_id, key="mlflow.runName", value="c")
    await done(stack, "/runs/set-tag", run_id=run_id, key="mlflow.runName", value="")
    found = await fact(stack, run_id)
    assert (found["name"], found["tags"]["mlflow.runName"]) == ("c", "c")
    assert (found["status"], found["end_time"]) == ("FINISHED", 70)
    await done(stack, "/runs/delete-tag", run_id=run_id, key="mlflow.runName")
    found = await fact(stack, run_id)
    assert (found["name"], found["tags"]) == ("c", {})
    async with stack.client.get(API + "/runs/get", params={"run_id": run_id}) as answer:
        read = (await answer.json())["run"]
    assert (read["info"]["run_name"], read["data"].get("tags", [])) == ("c", [])


async def test_a_thousand_immediate_contradictions_are_a_thousand_refusals(stack):
    run_id = await run_in(stack)

    async def contradict(i: int):
        first = await post(stack, "/runs/log-parameter", run_id=run_id, key=f"p{i}", value="1")
        return first, await refusal(stack, "/runs/log-parameter", run_id=run_id, key=f"p{i}", value="2")

    for batch in range(10):
        answers = await asyncio.gather(*(contradict(batch * 100 + i) for i in range(100)))
        for i, (first, second) in enumerate(answers, batch * 100):
            assert first[0] == 200
            assert second == (
                400,
                "INVALID_PARAMETER_VALUE",
                (
                    f"Changing param values is not allowed. Param with key='p{i}' was already logged with "
                    f"value='1' for run ID='{run_id}'. Attempted logging new value '2'."
                ),
            )
    assert set((await fact(stack, run_id))["params"].values()) == {"1"}


async def test_of_fifty_simultaneous_values_of_a_param_one_is_accepted(stack):
    run_id = await run_in(stack)
    answers = await asyncio.gather(
        *(post(stack, "/runs/log-parameter", run_id=run_id, key="p", value=str(i)) for i in range(50))
    )
    assert sorted(status for status, _ in answers) == [200] + [400] * 49


async def test_what_is_written_right_after_a_deletion_is_refused_until_the_run_is_restored(stack):
    run_id = await run_in(stack)
    metric = {"run_id": run_id, "key": "m", "value": 1, "timestamp": 1}
    for _ in range(100):
        await done(stack, "/runs/delete", run_id=run_id)
        refused = await refusal(stack, "/runs/log-metric", **metric)
        assert refused == (
            400,
            "INVALID_PARAMETER_VALUE",
            f"The run {run_id} must be in the 'active' state. Current state is deleted.",
        )
        await done(stack, "/runs/restore", run_id=run_id)
        await done(stack, "/runs/log-metric", **metric)


async def test_runs_of_a_deleted_experiment_are_deleted_and_come_back_with_it(stack):
    experiment_id = (await done(stack, "/experiments/create", name="e"))["experiment_id"]
    run_id = await run_in(stack, experiment_id)
    metric = {"run_id": run_id, "key": "m", "value": 1, "timestamp": 1}
    await done(stack, "/runs/log-metric", **metric)
    await done(stack, "/experiments/delete", experiment_id=experiment_id)
    assert (await refusal(stack, "/runs/log-metric", **metric))[0] == 400
    status, _, message = await refusal(stack, "/runs/create", experiment_id=experiment_id)
    assert (status, "must be in the 'active' state" in message) == (400, True)
    await done(stack, "/experiments/restore", experiment_id=experiment_id)
    await done(stack, "/runs/log-metric", **metric)


async def test_a_batch_is_written_whole_or_not_at_all(stack):
    run_id = await run_in(stack)
    metrics = [
        {"key": "m", "value": "NaN", "timestamp": "5", "step": 1},
        {"key": "m", "value": 2, "timestamp": 6},
    ]
    tags = [{"key": "t", "value": "1"}, {"key": "t", "value": "2"}]
    await done(
        stack,
        "/runs/log-batch",
        run_id=run_id,
        metrics=metrics,
        tags=tags,
        params=[{"key": "a", "value": "1"}],
    )
    new = [{"key": "b", "value": "1"}, {"key": "a", "value": "2"}]
    status, _, message = await refusal(
        stack, "/runs/log-batch", run_id=run_id, params=new, tags=[{"key": "u"}]
    )
    assert (status, message) == (
        400,
        (
            "Changing param values is not allowed. Params were already logged='[{'key': 'a', 'old_value': '1', "
            f"'new_value': '2'}}]' for run ID='{run_id}'."
        ),
    )
    bad = [*metrics, {"key": "m$", "value": 2, "timestamp": 6}]
    assert (await refusal(stack, "/runs/log-batch", run_id=run_id, metrics=bad, tags=[{"key": "u"}]))[
        0
    ] == 400
    found = await fact(stack, run_id)
    assert (found["params"], found["tags"].get("t"), "u" in found["tags"]) == ({"a": "1"}, "2", False)
    async with stack.client.get(f"/api/v1/runs/{run_id}/metrics/m") as answer:
        points = await answer.json()
    assert (points["steps"], points["values"]) == ([0, 1], [2.0, "NaN"])


async def test_a_batch_beyond_mlflows_limits_is_refused(stack):
    for body, named in [
        ({"metrics": [{"key": "a", "value": 1, "timestamp": 1}] * 1001}, "at most 1000 metrics"),
        ({"params": [{"key": f"p{i}"} for i in range(101)]}, "at most 100 params"),
        ({"tags": [{"key": f"t{i}"} for i in range(101)]}, "at most 100 tags"),
        (
            {"metrics": [{"key": "a", "value": 1, "timestamp": 1}] * 1000, "tags": [{"key": "t"}]},
            "at most 1000 metrics, params, and tags",
        ),
        ({"params": [{"key": "q", "value": "1"}] * 2}, "Duplicate parameter keys have been submitted: ['q']"),
        ({"metrics": [{"value": 1, "timestamp": 1}]}, "parameter 'metrics[0].key'"),
        ({"metrics": [{"key": "a", "value": 1, "timestamp": -1}]}, "'metrics[0].timestamp'"),
        ({"metrics": [{"key": "a", "value": 1, "timestamp": 2**60}]}, "in milliseconds"),
        ({"metrics": ["a"]}, "'metrics[0]'"),
        ({"metrics": {}}, "'metrics'"),
        ({"tags": [{"value": "x"}]}, "parameter 'tags[0].key'"),
        ({"tags": ["x"]}, "'tags[0]'"),
        ({"params": [{"key": "/x"}]}, "'params[0].key'"),
    ]:
        run_id = await run_in(stack)
        status, code, message = await refusal(stack, "/runs/log-batch", run_id=run_id, **body)
        assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
        assert named in message


async def test_what_does_not_exist_is_not_found(stack):
    gone = "0" * 32
    not_found = (404, "RESOURCE_DOES_NOT_EXIST", f"Run with id={gone} not found")
    metric = {"key": "m", "value": 1, "timestamp": 1}
    assert await refusal(stack, "/runs/log-metric", run_id=gone, **metric) == not_found
    for path in ("update", "delete", "restore", "log-batch", "log-inputs"):
        assert await refusal(stack, f"/runs/{path}", run_id=gone) == not_found
    run_id = await run_in(stack)
    status, _, message = await refusal(stack, "/runs/delete-tag", run_id=run_id, key="k")
    assert (status, message) == (404, f"No tag with name: k in run with id {run_id}")
    await done(stack, "/runs/set-tag", run_id=run_id, key="k", value="v" * 9000)
    await done(stack, "/runs/delete-tag", run_id=run_id, key="k")
    assert (await refusal(stack, "/runs/delete-tag", run_id=run_id, key="k"))[0] == 404
    missing = await refusal(stack, "/runs/create", experiment_id="77")
    assert missing == (404, "RESOURCE_DOES_NOT_EXIST", "No Experiment with id=77 exists")


async def test_datasets_and_models_are_inputs_and_outputs_and_long_texts_go_to_the_store(stack, tmp_path):
    run_id = await run_in(stack)
    dataset = {"name": "d", "digest": "1", "source_type": "t", "source": "s", "profile": "é" * 40_000}
    context = [{"key": "mlflow.data.context", "value": "training"}]
    await done(
            stack, "/runs/log-inputs", run_id=run_id, datasets=[{"dataset": dataset, "tags": context}],
            models=[{"model_id": "m-1"}],
        )  # fmt: skip
    for _ in range(2):
        other = {"dataset": dataset, "tags": [{"key": "mlflow.data.context", "value": "test"}]}
        await done(stack, "/runs/log-inputs", run_id=run_id, datasets=[other])
    async with stack.client.get(API + "/runs/get", params={"run_id": run_id}) as answer:
        (found,) = (await answer.json())["run"]["inputs"]["dataset_inputs"]
    assert (found["tags"], found["dataset"]) == (context, dataset)
    await done(stack, "/runs/outputs", run_id=run_id, models=[{"model_id": "m-2", "step": 3}])
    stored = list((tmp_path / "artifact store" / "0" / run_id / "fields").iterdir())
    assert [file.read_text() for file in stored] == [dataset["profile"]]
    long = {"dataset": dataset | {"digest": "1" * 37}}
    status, _, message = await refusal(stack, "/runs/log-inputs", run_id=run_id, datasets=[long])
    assert (status, message) == (400, "'digest' exceeds the maximum length of 36 characters")


async def test_the_models_of_old_clients_are_listed_in_a_tag(stack):
    run_id = await run_in(stack)
    for path in ("a", "b"):
        model = {
            "artifact_path": path,
            "flavors": {"f": {"config": 1, "x": 2}},
            "utc_time_created": "t",
            "run_id": run_id,
        }
        await done(stack, "/runs/log-model", run_id=run_id, model_json=json.dumps(model | {"more": 1}))
    listed = json.loads((await fact(stack, run_id))["tags"]["mlflow.log-model.history"])
    assert [model["artifact_path"] for model in listed] == ["a", "b"]
    assert listed[0]["flavors"] == {"f": {"x": 2}}
    assert (await refusal(stack, "/runs/log-model", run_id=run_id, model_json="{}"))[0] == 400


async def test_a_body_that_cannot_be_read_is_refused_with_a_message(stack):
    for headers, body, status in [
        ({"Content-Type": "text/plain"}, b"{}", 400),
        ({"Content-Type": "application/json"}, b"{x", 400),
        ({"Content-Type": "application/json"}, b"\xff", 400),
        ({"Content-Type": "application/json"}, b"[" * 200 + b"]" * 200, 400),
        ({"Content-Type": "application/json", "Content-Length": str(65 * 1024 * 1024)}, b"{}", 413),
    ]:
        async with stack.client.post(API + "/runs/create", data=body, headers=headers) as answer:
            assert answer.status == status
            assert set(await answer.json()) == {"error_code", "message", "sqlstate", "error_class"}


async def test_what_is_not_served_says_so(stack):
    for method, path, status, code in [
        ("GET", "/graphql", 501, "NOT_IMPLEMENTED"),
        ("POST", "/api/3.0/mlflow/traces/search", 501, "NOT_IMPLEMENTED"),
        ("GET", "/ajax-api/2.0/mlflow/traces", 501, "NOT_IMPLEMENTED"),
        ("POST", "/api/3.0/mlflow/gateway/secrets/create", 501, "NOT_IMPLEMENTED"),
        ("POST", "/api/2.0/mlflow/runs/nothing", 404, "ENDPOINT_NOT_FOUND"),
        ("GET", "/api/2.0/mlflow/runs/create", 405, "BAD_REQUEST"),
    ]:
        async with stack.client.request(method, path) as answer:
            found = await answer.json()
            assert (answer.status, found["error_code"]) == (status, code)
            assert found["message"].endswith(".")


async def test_what_is_internal_cannot_be_reached_through_the_gateway(stack):
    for path in [
        "/internal/v1/facts",
        "/%69nternal/v1/facts",
        "//internal/v1/facts",
        "/x/../internal/v1/facts",
        "/./internal/v1/facts",
    ]:
        target = URL(stack.url + path, encoded=True)
        async with aiohttp.ClientSession() as client, client.post(target, json={}) as answer:
            assert answer.status == 404


async def test_the_version_and_what_the_server_can_do_are_told(stack):
    async with stack.client.get("/version") as answer:
        assert await answer.text() == "3.17.2"
    async with stack.client.get("/api/3.0/mlflow/server-info") as answer:
        assert (await answer.json())["workspaces_enabled"] is False


async def test_every_rule_of_keys_speaks_mlflows_words(stack):
    run_id = await run_in(stack)
    bad = [
        ("a$", "alphanumerics"),
        ("../a", "would resolve to '../a'"),
        ("a" * (rules.KEY_MAX + 1), "maximum length of 250"),
    ]
    for key, words in bad:
        for path, more in (
            ("log-parameter", {}),
            ("set-tag", {}),
            ("log-metric", {"value": 1, "timestamp": 1}),
        ):
            status, code, message = await refusal(stack, f"/runs/{path}", run_id=run_id, key=key, **more)
            assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
            assert words in message


async def test_ids_of_runs_that_a_client_sends_are_ignored(stack):
    wanted = uuid.uuid4().hex
    assert await run_in(stack, run_id=wanted) != wanted


async def test_what_would_become_a_dead_letter_is_refused_before_it_is_written(stack):
    run_id = await run_in(stack, tags=[{"key": "mlflow.parentRunId", "value": "p" * 3000}])
    metric = {"key": "m", "value": 1, "timestamp": 1, "step": 0}
    long = "é" * 1000
    for path, body in (
        ("/runs/log-metric", metric | {"model_id": long}),
        ("/runs/log-batch", {"metrics": [metric | {"dataset_name": long, "dataset_digest": "1"}]}),
        ("/runs/log-inputs", {"datasets": [{"dataset": {"name": "日" * 500, "digest": "本" * 36 + "x" * 0, "source": long * 2}}], "models": [{"model_id": long + "x"}]}),
        ("/runs/outputs", {"models": [{"model_id": long + "x"}]}),
        ("/runs/update", {"run_name": "n" * 501}),
        ("/runs/set-tag", {"key": "mlflow.runName", "value": "n" * 501}),
    ):  # fmt: skip
        status, code, message = await refusal(stack, path, run_id=run_id, **body)
        assert (status, code) == (400, "INVALID_PARAMETER_VALUE"), path
        assert "at most 2000 bytes" in message or "500 characters" in message
    tags = [{"key": f"k{i}", "value": "\x01" * 20_000} for i in range(40)]
    status, _, message = await refusal(stack, "/experiments/create", name="large", tags=tags)
    assert (status, "bytes" in message) == (400, True)
    assert (await fact(stack, run_id))["tags"]["mlflow.parentRunId"] == "p" * 3000
    assert await stack.database.rows("SELECT count(*)::int FROM dead_letters") == [(0,)]
