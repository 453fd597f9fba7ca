"""What MLflow's clients read: experiments, runs, histories, datasets and artifacts, over HTTP."""

import hashlib
import io
import math
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp.test_utils import TestClient

from runstone.events.artifact_paths import large_field
from tests.read_model_rows import Rows

API = "/api/2.0/mlflow/"
AJAX = "/ajax-api/2.0/mlflow/"
MAX = 1.7976931348623157e308


async def get(api: TestClient, path: str, prefix: str = API, /, **query: Any) -> dict[str, Any]:
    async with api.get(prefix + path, params=query) as answer:
        found = await answer.json()
        assert answer.status == 200, found
        return found


async def post(api: TestClient, path: str, prefix: str = API, /, **body: Any) -> dict[str, Any]:
    async with api.post(prefix + path, json=body) as answer:
        found = await answer.json()
        assert answer.status == 200, found
        return found


async def names(api: TestClient, experiment: int, **search: Any) -> str:
    found = await post(api, "runs/search", experiment_ids=[str(experiment)], **search)
    return "".join(run["info"]["run_name"] for run in found.get("runs", []))


def pairs(**values: str) -> list[dict[str, str]]:
    return [{"key": key.replace("__", "."), "value": value} for key, value in values.items()]


async def test_a_run_is_told_as_mlflow_tells_it(api: TestClient, rows: Rows, root: Path) -> None:
    churn = await rows.experiment("churn")
    run_id = await rows.run(
        params={"C": "0.1"},
        metrics={"nan": math.nan, "inf": math.inf, "ninf": -math.inf},
        tags={"mlflow.user": "carol", "t": "v"},
        end_time=2000,
    )
    await rows.latest(run_id, "acc", 0.5, step=2, time=7)
    await rows.latest(run_id, "acc", 0.9, step=1, time=8, model="m-1")
    profile = "p" * 1000
    sha256 = hashlib.sha256(profile.encode()).hexdigest()
    path = root / large_field(churn, run_id, sha256)
    path.parent.mkdir(parents=True)
    path.write_text(profile)
    await rows.insert(
        "dataset_inputs", run_id=run_id, name="d", digest="dig", source_type="local", source="{}", schema="",
        profile="", tags='{"mlflow.data.context": "training"}', stored=f'{{"profile": "{sha256}"}}', time=1,
    )  # fmt: skip
    await rows.insert("model_inputs", run_id=run_id, model_id="m-0", time=1)
    await rows.insert("model_outputs", run_id=run_id, model_id="m-1", step=3, time=1)
    expected = {
        "info": {
            "run_uuid": run_id,
            "run_id": run_id,
            "experiment_id": str(churn),
            "run_name": "a run",
            "user_id": "alice",
            "status": "FINISHED",
            "start_time": 1000,
            "end_time": 2000,
            "artifact_uri": f"mlflow-artifacts:/{churn}/{run_id}/artifacts",
            "lifecycle_stage": "active",
        },
        "data": {
            "metrics": [
                {"key": "acc", "value": 0.5, "timestamp": 7, "step": 2},
                {"key": "inf", "value": MAX, "timestamp": 1, "step": 0},
                {"key": "nan", "value": "NaN", "timestamp": 1, "step": 0},
                {"key": "ninf", "value": -MAX, "timestamp": 1, "step": 0},
            ],
            "params": pairs(C="0.1"),
            "tags": pairs(mlflow__runName="a run", mlflow__user="carol", t="v"),
        },
        "inputs": {
            "dataset_inputs": [
                {
                    "tags": pairs(mlflow__data__context="training"),
                    "dataset": {
                        "name": "d", "digest": "dig", "source_type": "local", "source": "{}",
                        "profile": profile,
                    },
                }
            ],
            "model_inputs": [{"model_id": "m-0"}],
        },
        "outputs": {"model_outputs": [{"model_id": "m-1", "step": 3}]},
    }  # fmt: skip
    assert await get(api, "runs/get", run_id=run_id) == {"run": expected}
    assert await get(api, "runs/get", AJAX, run_uuid=run_id) == {"run": expected}
    (found,) = (await post(api, "runs/search", experiment_ids=[str(churn)]))["runs"]
    del expected["inputs"]["model_inputs"]  # as in MLflow, a search does not tell them
    assert found == expected


async def test_what_a_run_has_not_is_left_out(api: TestClient, rows: Rows) -> None:
    run_id = await rows.run(name="", user_name="", status="RUNNING", lifecycle_stage="deleted")
    run = (await get(api, "runs/get", run_id=run_id))["run"]
    assert "end_time" not in run["info"]
    assert run["info"]["user_id"] == "unknown"
    assert (run["data"], run["inputs"], run["outputs"]) == ({}, {}, {})


async def test_a_native_run_has_the_tags_that_mlflow_shows(api: TestClient, rows: Rows) -> None:
    churn = await rows.experiment("churn")
    context: dict[str, Any] = {"source": "/train.py", "git_commit": "abc"}
    await rows.run("elsewhere", run_id="mlflow's", context=context | {"client": "mlflow"})
    run = (await get(api, "runs/get", run_id="mlflow's"))["run"]
    assert run["data"] == {}  # what MLflow's client began has the tags it was given
    native = await rows.run(name="n", parent_run_id="p", context=context, tags={"mlflow.user": "carol"})
    await rows.run(name="m", user_name="unknown", tags={"mlflow.source.name": "other.py"})
    run = (await get(api, "runs/get", run_id=native))["run"]
    assert run["data"]["tags"] == pairs(
        mlflow__parentRunId="p",
        mlflow__runName="n",
        mlflow__source__git__commit="abc",
        mlflow__source__name="/train.py",
        mlflow__source__type="LOCAL",
        mlflow__user="carol",
    )
    for text, expected in (
        ("tags.mlflow.parentRunId = 'p'", "n"),
        ("tags.mlflow.user = 'alice'", ""),
        ("tags.mlflow.user = 'carol'", "n"),
        ("tags.`mlflow.source.name` LIKE '%.py'", "mn"),
        ("tags.`mlflow.source.name` != 'other.py'", "n"),
        ("tags.mlflow.source.type = 'LOCAL'", "n"),
        ("tags.mlflow.source.type IS NULL", "m"),
        ("tags.mlflow.user IS NULL", "m"),
        ("tags.mlflow.runName IS NOT NULL", "mn"),
        ("user_id = 'unknown'", "m"),
    ):
        found = await names(api, churn, filter=text, order_by=["tags.mlflow.runName"])
        assert found == expected, text


FILTERS = [
    ("metrics.acc > 0.5", "b"),
    ("metrics.acc != 0.5", "bc"),
    ("params.solver != 'lbfgs'", "b"),
    ("params.solver IS NULL AND status = 'RUNNING'", "c"),
    ("attributes.`Run name` LIKE 'A' or", None),
    ("attr.run_id IN ('a', 'c')", "ac"),
    ("run.run_id NOT IN ('a')", "bc"),
    ("attributes.artifact_uri LIKE '%/b/artifacts'", "b"),
    ("Created > 1500", "bc"),
    ("datasets.name = 'iris'", "b"),
    ('params."odd key" = "it\'s"', "a"),
]


async def test_a_search_finds_by_mlflows_filters(api: TestClient, rows: Rows) -> None:
    churn = await rows.experiment("churn")
    await rows.run(
        run_id="a",
        name="a",
        start_time=1000,
        metrics={"acc": 0.5},
        params={"solver": "lbfgs", "odd key": "it's"},
    )
    await rows.run(run_id="b", name="b", start_time=2000, metrics={"acc": 0.9}, params={"solver": "sag"})
    await rows.run(run_id="c", name="c", start_time=3000, metrics={"acc": math.nan}, status="RUNNING")
    await rows.run(run_id="d", name="d", lifecycle_stage="deleted")
    await rows.insert(
        "dataset_inputs", run_id="b", name="iris", digest="d", source_type="", source="", schema="",
        profile="", tags="{}", time=1,
    )  # fmt: skip
    for text, expected in FILTERS:
        if expected is not None:
            assert await names(api, churn, filter=text, order_by=["run_id"]) == expected, text
    assert await names(api, churn) == "cba"
    assert await names(api, churn, run_view_type="ALL", order_by=["run_id DESC"]) == "dcba"
    assert await names(api, churn, run_view_type=2) == "d"
    assert await names(api, churn, order_by=["metrics.acc DESC"]) == "bac"
    assert await names(api, 77) == ""
    assert await post(api, "runs/search", experiment_ids=[]) == {}


async def test_an_infinity_is_searched_as_the_largest_number(api: TestClient, rows: Rows) -> None:
    churn = await rows.experiment("churn")
    for name, value in (("a", math.inf), ("b", -math.inf), ("c", math.nan), ("d", 1.0)):
        await rows.run(run_id=name, name=name, metrics={"m": value})
        await rows.run(run_id=name * 2, name=name.upper(), metrics={"m": value}, status="RUNNING")
    for text, expected in (
        ("metrics.m > 1e308", "Aa"),
        ("metrics.m < 1e308", "BDbd"),
        ("metrics.m = 1e400", ""),
        ("metrics.m >= 1.7976931348623157e308", "Aa"),
        ("metrics.m > 1.7976931348623157e308", ""),
        ("metrics.m < 1e400", "ABDabd"),
        ("metrics.m != 1e400", "ABCDabcd"),
        ("metrics.m <= -1e400", ""),
    ):
        assert await names(api, churn, filter=text, order_by=["run_name"]) == expected, text


async def test_a_run_of_a_deleted_experiment_is_deleted_until_that_is_restored(
    api: TestClient, rows: Rows
) -> None:
    churn = await rows.experiment("churn", stage="deleted")
    run_id = await rows.run(name="r")
    assert (await get(api, "runs/get", run_id=run_id))["run"]["info"]["lifecycle_stage"] == "deleted"
    assert (await names(api, churn), await names(api, churn, run_view_type="DELETED_ONLY")) == ("", "r")
    await rows.connection.execute("UPDATE experiments SET lifecycle_stage = 'active'")
    assert (await names(api, churn), await names(api, churn, run_view_type="DELETED_ONLY")) == ("r", "")


async def test_pages_of_a_search_join_to_the_whole(api: TestClient, rows: Rows) -> None:
    churn = await rows.experiment("churn")
    for name in "abcde":
        await rows.run(name=name, start_time=ord(name))
    seen, token = "", ""
    while True:
        page = await post(
            api, "runs/search", AJAX, experiment_ids=[str(churn)], max_results=2, page_token=token
        )
        seen += "".join(run["info"]["run_name"] for run in page["runs"])
        if "next_page_token" not in page:
            break
        token = page["next_page_token"]
    assert seen == "edcba"


async def test_experiments_are_told_as_mlflow_tells_them(api: TestClient, rows: Rows) -> None:
    churn = await rows.experiment("churn", stage="deleted", team="x")
    expected = {
        "experiment_id": str(churn),
        "name": "churn",
        "artifact_location": f"mlflow-artifacts:/{churn}",
        "lifecycle_stage": "deleted",
        "creation_time": 1,
        "last_update_time": 2,
        "tags": pairs(team="x"),
        "workspace": "default",
    }
    assert await get(api, "experiments/get", experiment_id=churn) == {"experiment": expected}
    assert await get(api, "experiments/get-by-name", AJAX, experiment_name="churn") == {
        "experiment": expected
    }
    await rows.connection.execute("UPDATE experiments SET artifact_location = 's3://b/' WHERE name = 'churn'")
    run_id = await rows.run()
    found = (await get(api, "runs/get", run_id=run_id))["run"]["info"]["artifact_uri"]
    assert found == f"s3://b/{run_id}/artifacts"
    listed = await get(api, "experiments/search", max_results=5)
    assert [e["name"] for e in listed["experiments"]] == ["Default"]


async def test_experiments_are_searched(api: TestClient, rows: Rows) -> None:
    await rows.connection.execute("DELETE FROM experiments")
    ids = {}
    for n, name in enumerate("abc"):
        ids[name] = await rows.experiment(name, **({"team": "x"} if name != "b" else {}))
        await rows.connection.execute("UPDATE experiments SET creation_time = $1 WHERE name = $2", n, name)
    for text, order, expected in (
        ("", [], "cba"),
        ("", ["name ASC"], "abc"),
        ("name LIKE 'A'", [], ""),
        ("name ILIKE 'A'", [], "a"),
        ("attribute.name != 'a'", ["name"], "bc"),
        (f"experiment_id IN ('{ids['a']}', '{ids['b']}')", ["creation_time DESC"], "ba"),
        (f"experiment_id != '{ids['a']}'", ["name"], "bc"),
        ("creation_time >= 1", [], "cb"),
        ("tags.team = 'x'", [], "ca"),
        ("tag.team IS NULL", [], "b"),
    ):
        for method in (get, post):
            query = {"filter": text, "max_results": 10} | ({"order_by": order} if order else {})
            found = await method(api, "experiments/search", **query)
            assert "".join(e["name"] for e in found.get("experiments", [])) == expected, text
    first = await post(api, "experiments/search", max_results=2, order_by=["last_update_time"])
    rest = await post(
        api,
        "experiments/search",
        max_results=2,
        order_by=["last_update_time"],
        page_token=first["next_page_token"],
    )
    assert sorted(e["name"] for e in first["experiments"] + rest["experiments"]) == ["a", "b", "c"]


async def history(api: TestClient, run_id: str, key: str = "a", **query: Any) -> list[tuple[Any, ...]]:
    found = await get(api, "metrics/get-history", run_id=run_id, metric_key=key, **query)
    return [(p["step"], p["timestamp"], p["value"]) for p in found.get("metrics", [])]


async def test_a_history_has_each_point_once_by_time_step_and_value(api: TestClient, rows: Rows) -> None:
    run_id = await rows.run()
    await rows.points(run_id, "a", [(2, 5, 1.0), (1, 5, 3.0), (1, 5, 2.0), (9, 1, math.inf), (1, 5, 3.0)])
    await rows.points(run_id, "a", [(1, 5, 3.0), (3, 5, math.nan), (3, 5, math.nan), (3, 5, 1.0)], model="m")
    expected = [
        (9, 1, MAX), (1, 5, 2.0), (1, 5, 3.0), (2, 5, 1.0), (3, 5, "NaN"), (3, 5, 1.0),
    ]  # fmt: skip
    assert await history(api, run_id) == expected
    paged, token = [], ""
    while token is not None:
        page = await get(
            api, "metrics/get-history", run_id=run_id, metric_key="a", max_results=4, page_token=token
        )
        paged += [(p["step"], p["timestamp"], p["value"]) for p in page["metrics"]]
        token = page.get("next_page_token")
    assert paged == expected
    await rows.points(run_id, "a", [(4, 6, 1.0)])
    assert await history(api, run_id, max_results=9) == [*expected, (4, 6, 1.0)]
    assert await history(api, run_id, "none") == []
    assert await history(api, "nobody") == []


async def test_histories_in_bulk(api: TestClient, rows: Rows) -> None:
    a, b = await rows.run(run_id="a"), await rows.run(run_id="b")
    await rows.points(a, "k", [(n, n, float(n)) for n in range(10)])
    await rows.points(b, "k", [(5, 1, math.nan)])
    query = [("run_id", b), ("run_id", a), ("metric_key", "k"), ("max_results", "12")]
    async with api.get(AJAX + "metrics/get-history-bulk", params=query) as answer:
        found = await answer.json()
    assert [(p["run_id"], p["step"]) for p in found["metrics"]] == [*((a, n) for n in range(10)), (b, 5)]
    assert found["metrics"][-1] == {"key": "k", "value": "NaN", "timestamp": 1, "step": 5, "run_id": b}
    async with api.get(API + "metrics/get-history-bulk", params=query) as answer:
        assert answer.status == 404
    query = [("run_ids", b), ("run_ids", a), ("metric_key", "k"), ("max_results", "4")]
    async with api.get(API + "metrics/get-history-bulk-interval", params=query) as answer:
        found = await answer.json()
    # the first of each of four even parts, and the last
    assert [(p["run_id"], p["step"]) for p in found["metrics"]] == [(b, 5), (a, 0), (a, 3), (a, 6), (a, 9)]
    query += [("start_step", "2"), ("end_step", "4")]
    async with api.get(AJAX + "metrics/get-history-bulk-interval", params=query) as answer:
        found = await answer.json()
    assert [(p["run_id"], p["step"]) for p in found["metrics"]] == [(a, 2), (a, 3), (a, 4)]


async def test_datasets_of_experiments_are_summed_up(api: TestClient, rows: Rows) -> None:
    churn = await rows.experiment("churn")
    for context in ("training", "training", "", None):
        run_id = await rows.run()
        tags = "{}" if context is None else orjson.dumps({"mlflow.data.context": context}).decode()
        await rows.insert(
            "dataset_inputs", run_id=run_id, name="d", digest="x", source_type="", source="", schema="",
            profile="", tags=tags, time=1,
        )  # fmt: skip
    found = await post(api, "experiments/search-datasets", AJAX, experiment_ids=[str(churn)])
    summary = {"experiment_id": str(churn), "name": "d", "digest": "x"}
    assert found["dataset_summaries"] == [
        summary | {"context": ""},
        summary | {"context": "training"},
        summary,
    ]
    assert await post(api, "experiments/search-datasets", AJAX, experiment_ids=["77"]) == {}


async def test_artifacts_are_listed_by_folder(api: TestClient, rows: Rows) -> None:
    run_id = await rows.run(experiment="churn")
    for path in ("b.txt", "model/MLmodel", "model/data/x", "a.txt"):
        await rows.artifact(run_id, path, "file:///x", size=5)
    found = await get(api, "artifacts/list", run_id=run_id)
    assert found["root_uri"].endswith(f"/{run_id}/artifacts")
    a, b = ({"path": path, "is_dir": False, "file_size": 5} for path in ("a.txt", "b.txt"))
    assert found["files"] == [a, b, {"path": "model", "is_dir": True}]
    found = await get(api, "artifacts/list", run_id=run_id, path="model/")
    assert [f["path"] for f in found["files"]] == ["model/MLmodel", "model/data"]
    for path in ("a.txt", "none"):
        assert "files" not in await get(api, "artifacts/list", run_id=run_id, path=path)


REFUSED = [
    ("GET", "runs/get", {}, "INVALID_PARAMETER_VALUE", "Missing value for required parameter 'run_id'."),
    ("GET", "runs/get", {"run_id": "x"}, "RESOURCE_DOES_NOT_EXIST", "Run with id=x not found"),
    ("GET", "runs/get", {"run_id": "x\0"}, "INVALID_PARAMETER_VALUE", "run_id"),
    ("GET", "runs/nothing", {}, "ENDPOINT_NOT_FOUND", "runs/nothing"),
    ("GET", "runs/search", {}, "ENDPOINT_NOT_FOUND", "answers POST"),
    ("GET", "experiments/get", {"experiment_id": "9"}, "RESOURCE_DOES_NOT_EXIST", "No Experiment with id=9 exists"),
    ("GET", "experiments/get", {"experiment_id": "x"}, "INVALID_PARAMETER_VALUE", "Invalid experiment ID 'x'."),
    ("GET", "experiments/get-by-name", {"experiment_name": "x"}, "RESOURCE_DOES_NOT_EXIST", "with name 'x'"),
    ("GET", "experiments/search", {}, "INVALID_PARAMETER_VALUE", "It must be a positive integer"),
    ("GET", "experiments/search", {"max_results": "50001"}, "INVALID_PARAMETER_VALUE", "at most 50000"),
    ("GET", "artifacts/list", {"run_id": "x", "path": "../y"}, "INVALID_PARAMETER_VALUE", "Invalid path"),
    ("GET", "artifacts/list", {"run_id": "x", "path": "a/%252e%252e/y"}, "INVALID_PARAMETER_VALUE", "Invalid path"),
    ("GET", "artifacts/list", {"run_id": "x", "path": "/etc"}, "INVALID_PARAMETER_VALUE", "Invalid path"),
    ("GET", "metrics/get-history", {"run_id": "x"}, "INVALID_PARAMETER_VALUE", "metric_key"),
    ("GET", "metrics/get-history", {"run_id": "x", "metric_key": "k", "max_results": "0"}, "INVALID_PARAMETER_VALUE", "positive"),
    ("GET", "metrics/get-history", {"run_id": "x", "metric_key": "k", "page_token": "junk"}, "INVALID_PARAMETER_VALUE", "page token"),
    ("GET", "metrics/get-history", {"run_id": "x", "metric_key": "k", "page_token": "eyJvZmZzZXQiOiAtMX0="}, "INVALID_PARAMETER_VALUE", "page token"),
    ("POST", "runs/search", {"experiment_ids": ["1"], "max_results": 50001}, "INVALID_PARAMETER_VALUE", "50001"),
    ("POST", "runs/search", {"experiment_ids": ["1"], "max_results": 2**70}, "INVALID_PARAMETER_VALUE", "max_results"),
    ("POST", "runs/search", {"experiment_ids": ["1"], "max_results": "x"}, "INVALID_PARAMETER_VALUE", "max_results"),
    ("POST", "runs/search", {"experiment_ids": "1"}, "INVALID_PARAMETER_VALUE", "experiment_ids"),
    ("POST", "runs/search", {"experiment_ids": ["x"]}, "INVALID_PARAMETER_VALUE", "Invalid experiment ID"),
    ("POST", "runs/search", {"filter": 5}, "INVALID_PARAMETER_VALUE", "filter"),
    ("POST", "runs/search", {"filter": "metrics.a = "}, "INVALID_PARAMETER_VALUE", "filter string"),
    ("POST", "runs/search", {"filter": "foo.a = 1"}, "INVALID_PARAMETER_VALUE", "foo"),
    ("POST", "runs/search", {"filter": "Metrics.a = 1"}, "INVALID_PARAMETER_VALUE", "Metrics"),
    ("POST", "runs/search", {"order_by": ["metrics.a", "metrics.a DESC"]}, "INVALID_PARAMETER_VALUE", "duplicate"),
    ("POST", "runs/search", {"order_by": ["datasets.name"]}, "INVALID_PARAMETER_VALUE", "order_by"),
    ("POST", "runs/search", {"page_token": "junk"}, "INVALID_PARAMETER_VALUE", "page_token"),
    ("POST", "runs/search", {"run_view_type": "SOME"}, "INVALID_PARAMETER_VALUE", "run_view_type"),
    ("POST", "experiments/search", {"max_results": 1, "filter": "experiment_id = 'x'"}, "INVALID_PARAMETER_VALUE", "integer"),
    ("POST", "experiments/search", {"max_results": 1, "filter": "creation_time > 1.5"}, "INVALID_PARAMETER_VALUE", "1.5"),
    ("POST", "experiments/search", {"max_results": 1, "order_by": ["tags.a"]}, "INVALID_PARAMETER_VALUE", "tags"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "asked", "code", "message"), REFUSED)
async def test_what_is_wrong_is_answered_with_mlflows_codes(
    api: TestClient, rows: Rows, method: str, path: str, asked: dict[str, Any], code: str, message: str
) -> None:
    given = {"params": asked} if method == "GET" else {"json": asked}
    async with api.request(method, API + path, **given) as answer:
        found = await answer.json()
    assert found["error_code"] == code, found
    assert message in found["message"]
    assert 400 <= answer.status < 500


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{}", "text/plain"),
        (b"{}", None),
        (b"junk", "application/json"),
        (b"[]", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b'{"filter": "\\ud800"}', "application/json"),
        (b'{"a":' * 5000, "application/json"),
        (b"[" * 5000 + b"]" * 5000, "application/json"),
        (b'{"filter": "' + b"x" * 2_000_000 + b'"}', "application/json"),
    ],
)
async def test_a_body_that_is_none_is_a_400(
    api: TestClient, rows: Rows, body: bytes, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    skip = ["Content-Type"] if content_type is None else []
    async with api.post(
        API + "runs/search", data=io.BytesIO(body), headers=headers, skip_auto_headers=skip
    ) as answer:
        assert (answer.status, (await answer.json())["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


async def test_a_read_that_is_behind_says_so_in_mlflows_words(
    api: TestClient, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runstone_query.snapshot.WAIT_MAX_S", 0.1)
    headers = {"Runstone-At-Least": '{"t.events": {"0": 5}}'}
    async with api.get(API + "runs/get", params={"run_id": "x"}, headers=headers) as answer:
        found = await answer.json()
        assert (answer.status, found["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
        assert int(answer.headers["Retry-After"]) >= 1
