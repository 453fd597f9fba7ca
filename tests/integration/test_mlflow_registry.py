"""The model registry over a real topic and read model: what MLflow's clients write and read back at once."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from aiohttp.test_utils import TestClient

from tests.fix_stack import Stack, another_gateway
from tests.mlflow_calls import call, done, refused


@pytest.fixture
async def other(stack: Stack) -> AsyncIterator[TestClient]:
    """A second gateway to the same installation."""
    async with another_gateway(stack) as client:
        yield client


async def a_model(client: TestClient, name: str = "churn", versions: int = 0) -> None:
    await done(client, "POST", "registered-models/create", name=name)
    for n in range(versions):
        await done(client, "POST", "model-versions/create", name=name, source=f"s3://bucket/{n + 1}")


async def test_fifty_creations_of_a_name_by_two_gateways_end_in_one_model_and_of_versions_in_fifty(
    stack: Stack, other: TestClient
) -> None:
    made = await asyncio.gather(
        *(
            call((stack.client, other)[n % 2], "POST", "registered-models/create", name="churn")
            for n in range(50)
        )
    )
    assert [status for status, _ in made].count(200) == 1
    assert {found["error_code"] for status, found in made if status != 200} == {"RESOURCE_ALREADY_EXISTS"}

    versions = await asyncio.gather(
        *(
            done(
                (stack.client, other)[n % 2],
                "POST",
                "model-versions/create",
                name="churn",
                source=f"s3://b/{n}",
            )
            for n in range(50)
        )
    )
    numbers = [int(found["model_version"]["version"]) for found in versions]
    assert sorted(numbers) == list(range(1, 51))
    for client in (stack.client, other):
        listed = await done(client, "GET", "model-versions/search", filter="name = 'churn'")
        sources = {int(v["version"]): v["source"] for v in listed["model_versions"]}
        assert sources == {n: f["model_version"]["source"] for n, f in zip(numbers, versions, strict=True)}


async def test_a_registered_model_is_described_tagged_renamed_and_gone(stack: Stack) -> None:
    client = stack.client
    tags = [{"key": "team", "value": "a"}, {"key": "team", "value": "growth"}]
    made = await done(
        client, "POST", "registered-models/create", name="churn", description="who leaves", tags=tags
    )
    model = made["registered_model"]
    assert model["tags"] == [{"key": "team", "value": "growth"}]
    assert await done(client, "GET", "registered-models/get", name="churn") == made

    found = await done(client, "PATCH", "registered-models/update", name="churn", description="who stays")
    assert found["registered_model"]["description"] == "who stays"
    assert found["registered_model"]["last_updated_timestamp"] >= model["last_updated_timestamp"]
    await done(client, "POST", "registered-models/set-tag", name="churn", key="owner", value="alice")
    await done(client, "DELETE", "registered-models/delete-tag", name="churn", key="team")
    await done(client, "DELETE", "registered-models/delete-tag", name="churn", key="never")
    found = await done(client, "POST", "registered-models/rename", name="churn", new_name="größe")
    assert found["registered_model"]["tags"] == [{"key": "owner", "value": "alice"}]
    assert (await refused(client, "GET", "registered-models/get", name="churn"))[:2] == (
        404,
        "RESOURCE_DOES_NOT_EXIST",
    )

    await a_model(client)
    taken = await refused(client, "POST", "registered-models/rename", name="churn", new_name="größe")
    assert taken == (400, "RESOURCE_ALREADY_EXISTS", "Registered Model (name=größe) already exists.")
    await done(client, "POST", "registered-models/rename", name="churn", new_name="churn")
    assert await done(client, "DELETE", "registered-models/delete", name="größe") == {}
    gone = await refused(client, "DELETE", "registered-models/delete", name="größe")
    assert gone == (404, "RESOURCE_DOES_NOT_EXIST", "Registered Model with name=größe not found")


async def test_versions_have_aliases_stages_and_tags_of_their_own(stack: Stack) -> None:
    client = stack.client
    await a_model(client, versions=3)
    for alias, version in (("best", "1"), ("best", "2"), ("safe", "2")):
        await done(client, "POST", "registered-models/alias", name="churn", alias=alias, version=version)
    found = await done(client, "GET", "registered-models/alias", name="churn", alias="best")
    assert (found["model_version"]["version"], found["model_version"]["aliases"]) == ("2", ["best", "safe"])
    found = await done(client, "GET", "registered-models/alias", name="churn", alias="Latest")
    assert found["model_version"]["version"] == "3"

    await done(
        client, "POST", "model-versions/transition-stage", name="churn", version="1", stage="production"
    )
    found = await done(
        client, "POST", "model-versions/transition-stage",
        name="churn", version="2", stage="Production", archive_existing_versions=True,
    )  # fmt: skip
    assert found["model_version"]["current_stage"] == "Production"
    found = await done(client, "POST", "registered-models/get-latest-versions", name="churn")
    stages = [(v["version"], v["current_stage"]) for v in found["model_versions"]]
    assert stages == [("1", "Archived"), ("2", "Production"), ("3", "None")]
    found = await done(
        client, "GET", "registered-models/get-latest-versions", name="churn", stages="archived"
    )
    assert [v["version"] for v in found["model_versions"]] == ["1"]

    await done(
        client, "POST", "model-versions/set-tag", name="churn", version="2", key="checked", value="yes"
    )
    found = await done(
        client, "PATCH", "model-versions/update", name="churn", version="2", description="the best"
    )
    assert found["model_version"]["description"] == "the best"
    assert found["model_version"]["tags"] == [{"key": "checked", "value": "yes"}]
    await done(client, "DELETE", "model-versions/delete-tag", name="churn", version="2", key="checked")

    await done(client, "DELETE", "model-versions/delete", name="churn", version="2")
    gone = await refused(client, "GET", "model-versions/get", name="churn", version="2")
    assert gone == (404, "RESOURCE_DOES_NOT_EXIST", "Model Version (name=churn, version=2) not found")
    gone = await refused(client, "GET", "registered-models/alias", name="churn", alias="best")
    assert gone == (400, "INVALID_PARAMETER_VALUE", "Registered model alias best not found.")
    found = await done(client, "POST", "model-versions/create", name="churn", source="s3://bucket/new")
    assert found["model_version"]["version"] == "4"


async def test_a_version_whose_number_was_not_told_in_time_is_told_to_the_retry_and_made_once(
    stack: Stack, database: str
) -> None:
    client = stack.client
    await a_model(client)
    wanted = {"name": "churn", "source": "s3://bucket/x"}
    connection = await asyncpg.connect(database)
    async with connection.transaction():
        # the worker cannot write the model's last version as long as this holds its row
        await connection.execute("SELECT FROM runstone_g1.registered_models FOR UPDATE")
        assert (await refused(client, "POST", "model-versions/create", **wanted))[:2] == (
            503,
            "TEMPORARILY_UNAVAILABLE",
        )
    await connection.close()
    async with asyncio.timeout(30):  # the worker tries again when it likes, and so does the client
        while True:
            status, made = await call(client, "POST", "model-versions/create", **wanted)
            if status != 503:
                break
            await asyncio.sleep(0.1)
    assert (status, made["model_version"]["version"]) == (200, "1")
    made = await done(client, "POST", "model-versions/create", **wanted)
    assert made["model_version"]["version"] == "2"
    listed = await done(client, "GET", "model-versions/search", filter="name = 'churn'")
    assert [v["version"] for v in listed["model_versions"]] == ["2", "1"]


async def test_where_a_versions_files_lie_is_settled_when_it_is_made(stack: Stack) -> None:
    client = stack.client
    model = await done(client, "POST", "logged-models", experiment_id="0", name="m")
    info = model["model"]["info"]
    await a_model(client)
    made = await done(
        client, "POST", "model-versions/create",
        name="churn", source=f"models:/{info['model_id']}", model_id=info["model_id"],
    )  # fmt: skip
    assert made["model_version"]["source"] == f"models:/{info['model_id']}"
    await done(client, "POST", "registered-models/alias", name="churn", alias="best", version="1")
    await a_model(client, "copies")
    made = await done(client, "POST", "model-versions/create", name="copies", source="models:/churn@best")
    assert made["model_version"]["source"] == "models:/churn/1"

    shown = await done(client, "GET", f"logged-models/{info['model_id']}")
    assert shown["model"]["info"]["tags"] == [
        {"key": "mlflow.modelVersions", "value": '[{"name": "churn", "version": 1}]'}
    ]
    await done(client, "DELETE", "registered-models/delete", name="churn")
    found = await done(client, "GET", "model-versions/get-download-uri", name="copies", version="1")
    assert found == {"artifact_uri": info["artifact_uri"]}
    assert "tags" not in (await done(client, "GET", f"logged-models/{info['model_id']}"))["model"]["info"]


async def test_a_version_is_not_made_of_what_is_not_there(stack: Stack) -> None:
    client = stack.client
    await a_model(client, versions=1)
    unknown = f"m-{'0' * 32}"
    for fields, status, code, message in (
        ({"source": "models:/nope/1"}, 404, "RESOURCE_DOES_NOT_EXIST", "Registered Model with name=nope not found"),
        ({"source": "models:/churn/9"}, 404, "RESOURCE_DOES_NOT_EXIST", "Model Version (name=churn, version=9) not found"),
        ({"source": "models:/churn@best"}, 400, "INVALID_PARAMETER_VALUE", "Registered model alias best not found."),
        ({"source": "models:/churn/Production"}, 404, "RESOURCE_DOES_NOT_EXIST",
         "No versions of model with name 'churn' and stage 'Production' found"),
        ({"source": f"models:/{unknown}", "model_id": unknown}, 404, "RESOURCE_DOES_NOT_EXIST",
         f"Logged model with ID '{unknown}' not found."),
        ({"source": "models:/churn/1", "run_id": "x"}, 400, "INVALID_PARAMETER_VALUE",
         "Invalid model version source: 'models:/churn/1'. The run_id and model_id request parameters must match the referenced model version."),
        ({"source": "/etc", "run_id": "x"}, 400, "INVALID_PARAMETER_VALUE",
         "Invalid model version source: '/etc'. The run_id request parameter must identify the resource that contains the source."),
        ({"source": "s3://b/x", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]}, 501,
         "NOT_IMPLEMENTED", "Runstone keeps models, not prompts: the tag mlflow.prompt.is_prompt cannot be set."),
    ):  # fmt: skip
        found = await refused(client, "POST", "model-versions/create", name="churn", **fields)
        assert found == (status, code, message)
    long = "x" * 257
    assert (await refused(client, "POST", "registered-models/create", name=long))[:2] == (
        400,
        "INVALID_PARAMETER_VALUE",
    )
    assert (await refused(client, "DELETE", "registered-models/delete", name=long))[:2] == (
        404,
        "RESOURCE_DOES_NOT_EXIST",
    )
    found = await refused(client, "DELETE", "model-versions/delete", name=long, version="1")
    assert found[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
    found = await refused(client, "POST", "model-versions/create", name="nope", source="s3://b/x")
    assert found == (404, "RESOURCE_DOES_NOT_EXIST", "Registered Model with name=nope not found")
    listed = await done(client, "GET", "model-versions/search", filter="name = 'churn'")
    assert [v["version"] for v in listed["model_versions"]] == ["1"]


async def test_the_registry_is_searched_by_name_tag_and_run_page_by_page(stack: Stack) -> None:
    client = stack.client
    for name in ("b", "a", "Z"):
        await a_model(client, name, versions=2)
    await done(client, "POST", "registered-models/set-tag", name="a", key="t", value="v")
    await done(client, "POST", "model-versions/set-tag", name="a", version="1", key="t", value="v")
    await done(client, "POST", "model-versions/create", name="b", source="runs:/r/model", run_id="r")

    async def names(text: str, *order_by: str) -> list[str]:
        found = await done(client, "GET", "registered-models/search", filter=text, order_by=list(order_by))
        return [model["name"] for model in found.get("registered_models", [])]

    no_prompts = "tag.`mlflow.prompt.is_prompt` != 'true'"
    assert await names(no_prompts) == ["Z", "a", "b"]
    assert await names("tags.`mlflow.prompt.is_prompt` = 'true'") == []
    assert await names("tags.t = 'v' AND " + no_prompts) == ["a"]
    assert await names("tags.t != 'v'") == []
    assert await names("name ILIKE 'z' ") == ["Z"]
    assert await names("name IN ('a', 'b')", "name DESC") == ["b", "a"]
    assert await names("", "timestamp DESC") == ["b", "Z", "a"]
    assert (await refused(client, "GET", "registered-models/search", filter="owner = 'x'"))[:2] == (
        400, "INVALID_PARAMETER_VALUE",
    )  # fmt: skip

    async def versions(text: str, *order_by: str) -> list[str]:
        found = await done(client, "GET", "model-versions/search", filter=text, order_by=list(order_by))
        return [v["name"] + v["version"] for v in found.get("model_versions", [])]

    assert await versions("run_id = 'r'") == ["b3"]
    assert await versions("name = 'a'", "version_number") == ["a1", "a2"]
    assert await versions("source_path LIKE 's3://%/1'", "name DESC") == ["b1", "a1", "Z1"]
    assert await versions("tags.t = 'v'") == ["a1"]
    assert await versions("version_number = '3'") == ["b3"]
    assert await versions("version_number >= 2 AND name != 'Z'", "name") == ["a2", "b3", "b2"]

    seen: list[str] = []
    token = ""
    for _ in range(4):
        found = await done(
            client,
            "GET",
            "model-versions/search",
            max_results=2,
            order_by="creation_timestamp",
            page_token=token,
        )
        seen += [v["name"] + v["version"] for v in found["model_versions"]]
        token = found.get("next_page_token", "")
        if not token:
            break
    assert seen == ["b1", "b2", "a1", "a2", "Z1", "Z2", "b3"]
    junk = await refused(client, "GET", "model-versions/search", page_token="zzz")
    assert junk[:2] == (400, "INVALID_PARAMETER_VALUE")
