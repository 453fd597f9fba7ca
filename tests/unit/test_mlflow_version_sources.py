"""Where a model version may come from, and where it may not."""

import asyncio

import pytest

from runstone_gateway.mlflow.errors import MlflowError
from runstone_gateway.mlflow.version_sources import (
    ModelsUri,
    check_scheme,
    check_source_of_model,
    check_source_of_run,
    parse_models_uri,
    registered_source,
)

RUN, MODEL = "0190f5d8e4b07c3a9b1d2e3f4a5b6c7d", "m-0190f5d8e4b17c3a9b1d2e3f4a5b6c7e"
LOCATIONS = {
    RUN: f"mlflow-artifacts:/7/{RUN}/artifacts",
    MODEL: f"mlflow-artifacts:/7/models/{MODEL}/artifacts",
    "local": "file:///data/runs/local/artifacts",
    "folder": "/data/runs/folder/artifacts",
}


async def located(subject: str) -> str | None:
    return LOCATIONS.get(subject)


def of_run(source: str, run_id: str = "") -> None:
    asyncio.run(check_source_of_run(source, run_id, located))


def of_model(source: str, model_id: str = MODEL) -> None:
    asyncio.run(check_source_of_model(source, model_id, located))


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (f"models:/{MODEL}", ModelsUri(model_id=MODEL)),
        ("models:/churn/3", ModelsUri(name="churn", version="3")),
        ("models:/churn/Production", ModelsUri(name="churn", stage="Production")),
        ("models:/churn/LATEST", ModelsUri(name="churn")),
        ("models:/churn@best", ModelsUri(name="churn", alias="best")),
        ("models:/a@b@best", ModelsUri(name="a@b", alias="best")),
        ("models:/a/b/c", None),
        ("models:abc", None),
        ("models:/", None),
        ("models:/churn/ ", None),
        ("models:/churn@", None),
        ("runs:/x/model", None),
    ],
)
def test_a_models_uri_names_a_logged_model_or_a_version(uri: str, expected: ModelsUri | None) -> None:
    assert parse_models_uri(uri) == expected


def test_only_versions_of_this_registry_are_resolved() -> None:
    assert registered_source("models:/churn/3") == ModelsUri(name="churn", version="3")
    assert registered_source(f"models:/{MODEL}") is None
    assert registered_source("s3://bucket/x") is None
    for source, why in (
        ("models://elsewhere/churn/3", "the active model registry"),
        ("models:/a/b/c", "model_id"),
    ):
        with pytest.raises(MlflowError, match=why):
            registered_source(source)


@pytest.mark.parametrize(
    "source", ["http://host/x", "https://h", "hdfs://h/x", "ftp:///x", "mlflow-artifacts://h/x"]
)
def test_a_source_that_names_a_host_is_refused(source: str) -> None:
    with pytest.raises(MlflowError, match="addresses a host"):
        check_scheme(source)


@pytest.mark.parametrize(
    "source", ["s3://bucket/x", "mlflow-artifacts:/7/x", "dbfs:/x", "runs:/r/model", "/x"]
)
def test_a_source_that_names_no_host_passes(source: str) -> None:
    check_scheme(source)


@pytest.mark.parametrize(
    ("source", "run_id"),
    [
        (f"runs:/{RUN}/model", RUN),
        (f"runs:/{RUN}", RUN),
        ("s3://bucket/model", ""),
        ("s3://bucket//model/", ""),
        ("s3://bucket/model", "whoever"),
        (LOCATIONS[RUN], RUN),
        (LOCATIONS[RUN] + "/deep/model", RUN),
        ("models:/churn/3", ""),
        ("/data/runs/local/artifacts/model", "local"),
        ("file:///data/runs/folder/artifacts", "folder"),
        ("/data/runs/folder/artifacts/../artifacts/model", "folder"),
    ],
)
def test_a_source_within_its_run_is_taken(source: str, run_id: str) -> None:
    of_run(source, run_id)


@pytest.mark.parametrize(
    ("source", "run_id", "why"),
    [
        (f"runs:/{RUN}/model", "", "The run_id request parameter must identify"),
        (f"runs:/{RUN}/model", "other", "The run_id request parameter must identify"),
        (f"runs://{RUN}/model", RUN, "The run_id request parameter must identify"),
        (f"models:/{MODEL}", RUN, "The model_id request parameter must identify"),
        (LOCATIONS[RUN], "", "The run_id request parameter must identify"),
        (LOCATIONS[RUN], "unknown", "The run_id request parameter must identify"),
        (LOCATIONS[RUN] + "2/model", RUN, "The run_id request parameter must identify"),
        (LOCATIONS[MODEL], RUN, "The run_id request parameter must identify"),
        (LOCATIONS[RUN] + "/../../x", RUN, "relative path references"),
        ("s3://bucket/%2e%2e/x", "", "relative path references"),
        ("s3://bucket/%252e%252e/x", "", "relative path references"),
        ("s3://bucket/./x", "", "relative path references"),
        ("s3://bucket/x%00", "", "relative path references"),
        ("s3://bucket", "", "relative path references"),
        ("C:\\x", "", "relative path references"),
        ("/etc/passwd", "", "To use a local path"),
        ("/etc/passwd", RUN, "To use a local path"),
        ("/data/runs/folder/artifacts/../../other", "folder", "To use a local path"),
        ("/data/runs/folder/artifacts2", "folder", "To use a local path"),
        ("/data/runs/folder/artifacts", "unknown", "The run_id request parameter must identify"),
        ("a/b", "folder", "To use a local path"),
        ("file://elsewhere/x", "folder", "not a valid remote uri"),
        ("s3://[x", "", "Invalid model version source"),
    ],
)
def test_a_source_that_is_not_of_its_run_is_refused(source: str, run_id: str, why: str) -> None:
    with pytest.raises(MlflowError, match=why) as refused:
        of_run(source, run_id)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "source", [f"models:/{MODEL}", LOCATIONS[MODEL], LOCATIONS[MODEL] + "/x", "s3://b/x"]
)
def test_a_source_within_its_logged_model_is_taken(source: str) -> None:
    of_model(source)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("models:/m-other", "The model_id request parameter must identify"),
        (f"runs:/{RUN}/model", "The model_id request parameter must identify"),
        (LOCATIONS[RUN], "The model_id request parameter must identify"),
        ("/etc/passwd", "the model_id request parameter has to be specified"),
        ("s3://b/../x", "relative path references"),
    ],
)
def test_a_source_that_is_not_of_its_logged_model_is_refused(source: str, why: str) -> None:
    with pytest.raises(MlflowError, match=why):
        of_model(source)
