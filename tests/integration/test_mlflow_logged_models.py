"""Logged models over a real topic and read model: what MLflow's clients write and read back at once."""

import asyncio
from typing import Any

from aiohttp.test_utils import TestClient

from tests.fix_stack import Stack, another_gateway
from tests.mlflow_calls import done, refused


async def a_run(client: TestClient) -> str:
    found = await done(client, "POST", "runs/create", experiment_id="0", start_time=1)
    return str(found["run"]["info"]["run_id"])


TOO_MANY = [{"key": f"k{n}", "value": "x" * 100_000} for n in range(10)]


async def a_model(client: TestClient, name: str = "m", **fields: Any) -> str:
    found = await done(client, "POST", "logged-models", **{"experiment_id": "0", "name": name} | fields)
    return str(found["model"]["info"]["model_id"])


def pairs(**values: str) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def point(
    key: str, value: float | str, time: int, step: int, model_id: str, dataset: str = ""
) -> dict[str, Any]:
    found = {"key": key, "value": value, "timestamp": time, "step": step, "model_id": model_id}
    return found | ({"dataset_name": dataset, "dataset_digest": dataset * 2} if dataset else {})


async def found_by(client: TestClient, **fields: Any) -> list[str]:
    listed = await done(client, "POST", "logged-models/search", experiment_ids=["0"], **fields)
    return [model["info"]["name"] for model in listed.get("models", [])]


async def test_a_logged_model_goes_from_pending_to_ready_with_params_and_tags(stack: Stack) -> None:
    client = stack.client
    run = await a_run(client)
    made = await done(
        client, "POST", "logged-models",
        experiment_id="0", name="m", model_type="sklearn", source_run_id=run, params=pairs(a="1"), tags=pairs(t="u"),
    )  # fmt: skip
    info = made["model"]["info"]
    assert info["model_id"].startswith("m-")
    assert len(info["model_id"]) == 34
    assert info["status"] == "LOGGED_MODEL_PENDING"
    assert info["artifact_uri"] == f"mlflow-artifacts:/0/models/{info['model_id']}/artifacts"
    one = f"logged-models/{info['model_id']}"
    assert await done(client, "GET", one) == made

    await done(client, "POST", f"{one}/params", model_id=info["model_id"], params=pairs(b="2"))
    await done(client, "PATCH", f"{one}/tags", tags=pairs(t="v", w="x"))
    await done(client, "DELETE", f"{one}/tags/t")
    ended = await done(client, "PATCH", one, model_id=info["model_id"], status="LOGGED_MODEL_READY")
    assert ended["model"]["info"]["status"] == "LOGGED_MODEL_READY"
    assert ended["model"]["info"]["tags"] == pairs(w="x")
    assert ended["model"]["data"] == {"params": pairs(a="1", b="2")}
    assert await done(client, "GET", one) == ended

    for status in ("LOGGED_MODEL_UPLOAD_FAILED", "LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY"):
        again = await done(client, "PATCH", one, model_id=info["model_id"], status=status)
        assert again["model"]["info"]["status"] == status

    for _ in range(2):
        assert await done(client, "DELETE", one) == {}
    missing = 404, "RESOURCE_DOES_NOT_EXIST", f"Logged model with ID '{info['model_id']}' not found."
    assert await refused(client, "GET", one) == missing
    shown = await done(client, "GET", f"{one}?allow_deleted=true")
    assert shown["model"]["info"]["name"] == "m"
    assert await found_by(client) == []


async def test_what_contradicts_what_was_written_a_moment_ago_is_refused(stack: Stack) -> None:
    client = stack.client
    models = [await a_model(client, params=pairs(a="1")) for _ in range(5)]

    async def twice(model_id: str, n: int) -> None:
        path = f"logged-models/{model_id}/params"
        await done(client, "POST", path, model_id=model_id, params=pairs(**{f"p{n}": "1"}))
        found = await refused(
            client, "POST", path, model_id=model_id, params=pairs(**{f"q{n}": "1", f"p{n}": "2"})
        )
        assert found == (400, "BAD_REQUEST", f"The logged model has the param 'p{n}' already.")

    await asyncio.gather(*(twice(model_id, n) for model_id in models for n in range(10)))
    for model_id in models:
        params = (await done(client, "GET", f"logged-models/{model_id}"))["model"]["data"]["params"]
        assert params == [{"key": key, "value": "1"} for key in ("a", *(f"p{n}" for n in range(10)))]


async def test_a_model_that_another_gateway_made_a_moment_ago_is_known(stack: Stack) -> None:
    async with another_gateway(stack) as other:
        for n in range(5):
            one = stack.client if n % 2 else other
            two = other if n % 2 else stack.client
            model_id = await a_model(one, params=pairs(a="1"))
            path = f"logged-models/{model_id}"
            assert (await refused(two, "POST", f"{path}/params", model_id=model_id, params=pairs(a="2")))[
                0
            ] == 400
            await done(one, "PATCH", f"{path}/tags", tags=pairs(t="x"))
            await done(two, "DELETE", f"{path}/tags/t")
            ended = await done(two, "PATCH", path, model_id=model_id, status="LOGGED_MODEL_READY")
            assert ended["model"]["info"]["status"] == "LOGGED_MODEL_READY"


async def test_a_logged_model_is_not_made_or_changed_against_mlflows_rules(stack: Stack) -> None:
    client = stack.client
    model_id = await a_model(client)
    one, nobody = f"logged-models/{model_id}", "logged-models/m-nobody"
    unknown = 404, "RESOURCE_DOES_NOT_EXIST"
    wrong = 400, "INVALID_PARAMETER_VALUE"
    for expected, method, path, fields in (
        (wrong, "POST", "logged-models", {"name": "m"}),
        (unknown, "POST", "logged-models", {"experiment_id": "7"}),
        (wrong, "POST", "logged-models", {"experiment_id": "x"}),
        *((wrong, "POST", "logged-models", {"experiment_id": "0", "name": n}) for n in ("a/b", "a.b", "a%", "a'", 5)),
        (wrong, "POST", "logged-models", {"experiment_id": "0", "params": {}}),
        (wrong, "POST", "logged-models", {"experiment_id": "0", "tags": pairs(**{"": "x"})}),
        (wrong, "POST", "logged-models", {"experiment_id": "0", "tags": pairs(**{"a\nb": "x"})}),
        (wrong, "POST", f"{one}/params", {"model_id": model_id, "params": TOO_MANY}),
        (wrong, "PATCH", f"{one}/tags", {"tags": TOO_MANY}),
        ((400, "BAD_REQUEST"), "POST", "logged-models", {"experiment_id": "0", "params": pairs(a="1") * 2}),
        (unknown, "PATCH", nobody, {"model_id": "m-nobody", "status": "LOGGED_MODEL_READY"}),
        (unknown, "PATCH", one, {"model_id": "m-nobody", "status": "LOGGED_MODEL_READY"}),
        (wrong, "PATCH", one, {"model_id": model_id}),
        (wrong, "PATCH", one, {"status": "LOGGED_MODEL_READY"}),
        (wrong, "PATCH", one, {"model_id": model_id, "status": "LOGGED_MODEL_STATUS_UNSPECIFIED"}),
        (unknown, "POST", f"{nobody}/params", {"model_id": "m-nobody", "params": pairs(a="1")}),
        (wrong, "POST", f"{one}/params", {"params": pairs(a="1")}),
        (unknown, "PATCH", f"{nobody}/tags", {"tags": pairs(a="1")}),
        (unknown, "DELETE", f"{one}/tags/never", {}),
        (unknown, "DELETE", nobody, {}),
        (wrong, "POST", "logged-models/search", {}),
        (wrong, "POST", "logged-models/search", {"experiment_ids": ["x"]}),
        (wrong, "POST", "logged-models/search", {"experiment_ids": ["0"], "filter": "name = 'a' OR name = 'b'"}),
        (wrong, "POST", "logged-models/search", {"experiment_ids": ["0"], "order_by": [{"field_name": "params.a"}]}),
        (wrong, "POST", "logged-models/search", {"experiment_ids": ["0"], "datasets": [{"dataset_digest": "x"}]}),
        (wrong, "POST", "logged-models/search", {"experiment_ids": ["0"], "page_token": "zzz"}),
    ):  # fmt: skip
        assert (await refused(client, method, path, **fields))[:2] == expected, (method, path, fields)
    experiment = await done(client, "POST", "experiments/create", name="gone")
    await done(client, "POST", "experiments/delete", **experiment)
    found = await refused(client, "POST", "logged-models", **experiment)
    assert found[2].endswith("must be in the 'active' state. Current state is deleted.")
    assert await found_by(client) == ["m"]


async def test_a_source_run_that_nobody_knows_is_kept_and_becomes_no_run(stack: Stack) -> None:
    client = stack.client
    model_id = await a_model(client, source_run_id="f" * 32)
    info = (await done(client, "GET", f"logged-models/{model_id}"))["model"]["info"]
    assert info["source_run_id"] == "f" * 32
    assert await stack.database.rows("SELECT run_id FROM runstone_g1.runs") == []


async def test_a_models_metrics_are_the_points_of_all_runs_that_measured_it(stack: Stack) -> None:
    client = stack.client
    runs = [await a_run(client) for _ in range(2)]
    model_id = await a_model(client, source_run_id=runs[0])
    points = [point("acc", 0.5, 5, 0, model_id, "d"), point("acc", 0.7, 6, 1, model_id, "d")]
    await done(client, "POST", "runs/log-batch", run_id=runs[0], metrics=points)
    await done(client, "POST", "runs/log-batch", run_id=runs[0], metrics=points)
    odd = [point("acc", "NaN", 7, 0, model_id), point("worst", "-Infinity", 7, 0, model_id)]
    await done(client, "POST", "runs/log-batch", run_id=runs[1], metrics=odd)
    shown = (await done(client, "GET", f"logged-models/{model_id}"))["model"]["data"]["metrics"]
    assert [(m["key"], m["run_id"], m["step"], m["value"], m.get("dataset_digest")) for m in shown] == [
        ("acc", runs[1], 0, "NaN", None),
        ("acc", runs[0], 0, 0.5, "dd"),
        ("acc", runs[0], 1, 0.7, "dd"),
        ("worst", runs[1], 0, -1.7976931348623157e308, None),
    ]


async def test_logged_models_are_searched_by_attributes_params_tags_and_metrics(stack: Stack) -> None:
    client = stack.client
    run = await a_run(client)
    first = await a_model(client, "first", source_run_id=run, params=pairs(lr="0.1"), tags=pairs(t="x"))
    second = await a_model(client, "second", model_type="torch", params=pairs(lr="0.2"))
    third = await a_model(client, "Third")
    await done(
        client, "POST", "runs/log-batch", run_id=run,
        metrics=[
            point("acc", 0.2, 5, 0, first, "d"), point("acc", 0.9, 6, 1, first, "d"),
            point("acc", 0.5, 9, 0, second, "e"), point("acc", 0.1, 9, 0, third, "d"), point("loss", "NaN", 1, 0, third),
        ],
    )  # fmt: skip
    await done(client, "PATCH", f"logged-models/{first}", model_id=first, status="LOGGED_MODEL_READY")
    of_d, of_e = {"dataset_name": "d", "dataset_digest": "dd"}, {"dataset_name": "e"}

    everything = ["Third", "second", "first"]  # the newest first
    for text, names in (
        ("", everything),
        ("name = 'first'", ["first"]),
        ("attributes.name ILIKE 't%'", ["Third"]),
        ("name IN ('first', 'second')", ["second", "first"]),
        ("name NOT IN ('first', 'second')", ["Third"]),
        (f"model_id = '{second}'", ["second"]),
        (f"source_run_id = '{run}'", ["first"]),
        ("model_type = 'torch'", ["second"]),
        ("status = 'READY'", ["first"]),
        ("experiment_id = '0' AND creation_time > 0 AND last_updated_timestamp > 0", everything),
        ("artifact_location LIKE 'mlflow-artifacts:/0/models/%'", everything),
        ("params.lr = '0.1'", ["first"]),
        ("params.lr != '0.1'", ["second"]),
        ("params.lr IN ('0.1', '0.2')", ["second", "first"]),
        ("tags.`t` LIKE 'x%' AND params.lr LIKE '0%'", ["first"]),
        ("metrics.acc > 0.8", ["first"]),
        ("metrics.acc < 0.3", ["Third", "first"]),
        ("metrics.loss != 7", ["Third"]),
        ("metrics.loss <= 7", []),
    ):
        assert await found_by(client, filter=text) == names, text
    assert await found_by(client, filter="metrics.acc < 0.3", datasets=[of_e]) == []
    assert await found_by(client, filter="metrics.acc < 0.6", datasets=[of_d, of_e]) == everything
    assert await found_by(client, datasets=[of_d]) == ["Third", "first"]
    for order_by, names in (
        ([{"field_name": "name"}], ["Third", "first", "second"]),
        ([{"field_name": "creation_timestamp"}], ["first", "second", "Third"]),
        ([{"field_name": "metrics.acc"}], ["Third", "second", "first"]),
        ([{"field_name": "metrics.acc", "ascending": False, **of_d}], ["first", "Third", "second"]),
        ([{"field_name": "metrics.loss"}, {"field_name": "name"}], ["Third", "first", "second"]),
    ):
        assert await found_by(client, order_by=order_by) == names, order_by
        seen: list[str] = []
        token = ""
        while len(seen) < 3:
            page = await done(
                client, "POST", "logged-models/search",
                experiment_ids=["0"], order_by=order_by, max_results=1, page_token=token,
            )  # fmt: skip
            seen += [model["info"]["name"] for model in page["models"]]
            token = page.get("next_page_token", "")
        assert (seen, token) == (names, "")
