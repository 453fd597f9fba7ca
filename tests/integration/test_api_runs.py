"""Searching, reading and comparing runs through the read API, over rows in a real Postgres."""

import math
from typing import Any

from aiohttp.test_utils import TestClient
from asyncpg import Range

from runstone.events.identity import experiment_id
from runstone_query.search.ast import Field
from runstone_query.search.parser import parse_order
from runstone_query.search.runs import LANGUAGE
from tests.read_model_rows import Rows


async def search(api: TestClient, **body: Any) -> dict[str, Any]:
    async with api.post("/api/v1/runs/search", json=body) as answer:
        found = await answer.json()
        assert answer.status == 200, found
        return found


async def names(api: TestClient, **body: Any) -> list[str]:
    return [run["name"] for run in (await search(api, **body))["runs"]]


async def test_a_run_has_every_field(api: TestClient, rows: Rows, root: Any) -> None:
    await rows.experiment("churn")
    run_id = await rows.run(
        name="first",
        start_time=1000,
        end_time=2000,
        status="KILLED",
        status_reason="signal 15",
        params={"C": "0.1"},
        metrics={"acc": 0.5, "loss": math.nan, "top": math.inf},
        tags={"team": "é"},
        context={"host": "h", "git_dirty": True, "extra": 1},
    )
    await rows.insert("param_conflicts", run_id=run_id, key="C", value="0.2", session="s", time=1)
    await rows.insert(
        "marks", stream=run_id, session="s", high_seq=9, ended="ended", end_reason="exit", clean=True
    )
    async with api.get(f"/api/v1/runs/{run_id}") as answer:
        assert answer.status == 200
        assert answer.headers["Server"].startswith("runstone/")
        found = await answer.json()
    assert found == {
        "run_id": run_id,
        "experiment_id": experiment_id("churn"),
        "experiment_name": "churn",
        "name": "first",
        "status": "KILLED",
        "status_reason": "signal 15",
        "lifecycle_stage": "active",
        "start_time": 1000,
        "end_time": 2000,
        "user": "alice",
        "parent_run_id": None,
        "artifact_uri": f"{root.as_uri()}/{experiment_id('churn')}/{run_id}/artifacts",
        "last_heard_at": None,
        "stale": False,
        "params": {"C": "0.1"},
        "metrics": {"acc": 0.5, "loss": "NaN", "top": "Infinity"},
        "tags": {"team": "é"},
        "context": {
            "user": "alice",
            "host": "h",
            "rank": None,
            "source": None,
            "git_commit": None,
            "git_dirty": True,
            "command": None,
            "python": None,
            "packages": None,
            "extra": 1,
        },
        "param_conflicts": {"C": ["0.2"]},
        "datasets": [],
        "completeness": {
            "complete": True,
            "gaps": 0,
            "dead_letters": 0,
            "sessions": [
                {
                    "session": "s",
                    "first_seq": 0,
                    "last_seq": 9,
                    "missing": [],
                    "declared": [],
                    "ended": "ended",
                    "end_reason": "exit",
                    "clean": True,
                }
            ],
        },
    }
    assert (await search(api, experiment_names=["churn"]))["runs"] == [found]


async def test_a_run_of_which_nothing_but_its_id_is_known_is_shown(api: TestClient, rows: Rows) -> None:
    await rows.insert("runs", run_id="bare", topic_partition=0, last_offset=0)
    (found,) = (await search(api))["runs"]
    assert found["run_id"] == "bare"
    assert found["experiment_id"] is found["name"] is found["start_time"] is found["artifact_uri"] is None


async def test_a_run_is_stale_when_heartbeats_come_but_for_five_minutes_none_of_its_own(
    api: TestClient, rows: Rows
) -> None:
    now, old = 10_000_000, 10_000_000 - 5 * 60_000 - 1
    heard = {"": now, "silent": old, "late record": old, "ended": old, "lives": now}
    for session, at in heard.items():
        await rows.insert("runstone_meta.heard", session=session, heard_at=at)
    for name in (*heard, "never said that it lives"):
        run_id = await rows.run(
            name=name, status="FINISHED" if name == "ended" else "RUNNING", owner_session=name
        )
        at = now - 60_000 if name == "late record" else 1_000
        await rows.insert("marks", stream=run_id, session=name, high_seq=9, last_time=at)
    found = {run["name"]: run for run in (await search(api))["runs"]}
    assert [name for name, run in found.items() if run["stale"]] == ["silent"]
    assert {name: run["last_heard_at"] for name, run in found.items() if name} == {
        "silent": old, "late record": now - 60_000, "ended": old, "lives": now, "never said that it lives": 1_000,
    }  # fmt: skip


async def test_what_is_missing_of_a_run_is_told(api: TestClient, rows: Rows) -> None:
    run_id = await rows.run()
    missing = [Range(3, 5), Range(7, 8)]
    await rows.insert("marks", stream=run_id, session="s", high_seq=9, missing=missing)
    await rows.insert(
        "dead_letters", topic="t", partition=0, offset=5, reason="bad", stream=run_id, session="s"
    )
    (found,) = (await search(api))["runs"]
    assert found["completeness"]["sessions"][0]["missing"] == [[3, 4], [7, 7]]
    assert found["completeness"]["complete"] is False
    assert found["completeness"]["gaps"] == 2
    assert found["completeness"]["dead_letters"] == 1


async def test_an_unknown_experiment_has_no_runs_and_no_experiment_means_all(
    api: TestClient, rows: Rows
) -> None:
    await rows.run("one", name="one")
    await rows.run("two", name="two")
    await rows.experiment("two")
    assert await names(api, experiment_names=["nowhere"]) == []
    assert await names(api, experiment_names=[]) == []
    assert sorted(await names(api)) == ["one", "two"]
    assert await names(api, experiment_names=["one"]) == ["one"]
    assert await names(api, experiment_ids=[experiment_id("two")]) == ["two"]
    assert sorted(await names(api, experiment_names=["one"], experiment_ids=[str(experiment_id("two"))])) == [
        "one",
        "two",
    ]


async def test_a_renamed_experiment_is_found_by_its_new_name_only(api: TestClient, rows: Rows) -> None:
    await rows.experiment("before")
    await rows.run("before", name="r")
    await rows.connection.execute("UPDATE experiments SET name = 'after' WHERE name = 'before'")
    assert await names(api, experiment_names=["before"]) == []
    assert await names(api, experiment_names=["after"]) == ["r"]
    assert (await search(api))["runs"][0]["experiment_name"] == "after"


async def test_deleted_runs_are_seen_when_asked_for(api: TestClient, rows: Rows) -> None:
    await rows.run(name="kept")
    await rows.run(name="gone", lifecycle_stage="deleted")
    assert await names(api) == ["kept"]
    assert await names(api, view="deleted") == ["gone"]
    assert sorted(await names(api, view="all")) == ["gone", "kept"]


FILTERS = [
    ("", "abc"),
    ("metrics.acc > 0.5", "b"),
    ("metrics.acc >= 0.5 AND metrics.acc<=0.5", "a"),
    ("metrics.acc != 0.5", "bc"),
    ("metrics.acc > -1e400", "ab"),
    ("metrics.acc < 1e400", "ab"),
    ("params.solver = 'lbfgs'", "a"),
    ("params.solver != 'lbfgs'", "b"),
    ("params.solver LIKE 'LB%'", ""),
    ("params.solver ilike 'LB%'", "a"),
    ("params.solver LIKE '%\\'", ""),
    ('params.`odd key` = "it\'s"', "a"),
    ("params.\"odd key\" = 'it''s'", "a"),
    ("tags.team = 'x' and parameters.solver = 'lbfgs'", "a"),
    ("status = 'FINISHED' AND attributes.user = 'bob'", "b"),
    ("attr.run_name = 'c'", "c"),
    ("run.start_time > 1500", "bc"),
    ("run_id IN ('a', 'c', 'nobody')", "ac"),
    ("attribute.run_id NOT IN ('a', 'c')", "b"),
    ("end_time > 0", ""),
    ("params.solver IS NULL", "c"),
    ("tags.team IS NOT NULL", "a"),
    ("datasets.name = 'iris'", "b"),
    ("datasets.name != 'iris'", "b"),
    ("datasets.context LIKE 'tr%' AND datasets.digest IN ('d', 'e')", "b"),
]


async def test_a_filter_finds(api: TestClient, rows: Rows) -> None:
    await rows.run(
        run_id="a", name="a", start_time=1000, metrics={"acc": 0.5},
        params={"solver": "lbfgs", "odd key": "it's"}, tags={"team": "x"},
    )  # fmt: skip
    await rows.run(
        run_id="b", name="b", start_time=2000, user_name="bob", metrics={"acc": 0.9}, params={"solver": "sag"}
    )
    await rows.run(run_id="c", name="c", start_time=3000, metrics={"acc": math.nan}, status="RUNNING")
    for name, tags in (("iris", '{"mlflow.data.context": "train"}'), ("mnist", "{}")):
        await rows.insert(
            "dataset_inputs", run_id="b", name=name, digest="d", source_type="", source="", schema="",
            profile="", tags=tags, time=1,
        )  # fmt: skip
    for text, expected in FILTERS:
        assert "".join(sorted(await names(api, filter=text))) == expected, text


async def test_every_field_is_answered_by_every_operator_for_every_value(api: TestClient, rows: Rows) -> None:
    await rows.run(params={"k": "x"}, tags={"k": "x"}, metrics={"k": 1.0})
    fields = ["metric.k", "param.k", "tag.k", *(f"attr.{name}" for name in LANGUAGE.attributes)]
    for name in [*fields, "dataset.name", "dataset.digest", "dataset.context"]:
        field = Field("dataset", name[8:]) if "dataset" in name else parse_order(name, LANGUAGE).field
        values = ["0", "-1e999", "1e999", "9" * 5000] if LANGUAGE.kind(field) == "number" else TEXTS
        for operator in LANGUAGE.operators_of(field):
            listed, null = operator in {"IN", "NOT IN"}, "NULL" in operator
            comparisons = [
                f"{name} {operator} {f'({v}, {v})' if listed else '' if null else v}" for v in values
            ]
            order = [] if "dataset" in name else [f"{name} DESC"]
            await search(api, filter=" AND ".join(comparisons), order_by=order)
            await search(api, filter=" AND ".join(comparisons), order_by=order, limit=1)


TEXTS = ["''", "'%'", "'\\'", "'%\\%_'", "'{schema} $1 ; --'", f"'{'é' * 5000}'"]


async def test_the_value_compared_is_the_latest_over_all_models(api: TestClient, rows: Rows) -> None:
    run_id = await rows.run(metrics={"acc": 0.1})
    await rows.latest(run_id, "acc", 0.9, step=5, model="m")
    assert (await search(api, filter="metrics.acc > 0.5"))["runs"][0]["metrics"] == {"acc": 0.9}
    assert await names(api, filter="metrics.acc < 0.5") == []


async def test_of_a_running_run_the_live_value_counts_not_the_ranked_copy(
    api: TestClient, rows: Rows
) -> None:
    await rows.run(name="ended", metrics={"acc": 0.5})
    run_id = await rows.run(name="running", status="RUNNING", metrics={"acc": 0.9})
    await rows.insert("ranked_metrics", run_id=run_id, key="acc", value=0.1)
    assert await names(api, filter="metrics.acc > 0.8") == ["running"]
    assert await names(api, filter="metrics.acc < 0.2") == []
    assert await names(api, order_by=["metrics.acc DESC"]) == ["running", "ended"]


async def ordered_rows(rows: Rows) -> None:
    for name, start, value in (
        ("a", 3, 0.1), ("b", 2, math.nan), ("c", 1, None), ("d", 5, 0.1), ("e", 4, math.inf), ("f", None, 0.2),
    ):  # fmt: skip
        metrics = {} if value is None else {"acc": value}
        await rows.run(
            run_id=name, name=name, start_time=start, metrics=metrics, params={"p": name} if start else {}
        )


ORDERS = [
    ([], "deabcf"),
    (["start_time"], "cbaedf"),
    (["metrics.acc DESC"], "efdabc"),
    (["metrics.`acc` asc"], "dafebc"),
    (["params.p DESC"], "edcbaf"),
    (["metrics.acc", "attributes.run_id DESC"], "dafebc"),
    (["tags.none", "run_name desc"], "fedcba"),
]


async def test_an_order_puts_nan_and_missing_last_and_ends_with_the_newest(
    api: TestClient, rows: Rows
) -> None:
    await ordered_rows(rows)
    for order, expected in ORDERS:
        assert "".join(await names(api, order_by=order)) == expected, order


async def test_pages_join_to_the_whole_in_any_order(api: TestClient, rows: Rows) -> None:
    await ordered_rows(rows)
    for order, expected in ORDERS:
        for limit in (1, 2, 4):
            seen, token = "", None
            while True:
                page = await search(api, order_by=order, limit=limit, page_token=token)
                seen += "".join(run["name"] for run in page["runs"])
                token = page["next_page_token"]
                if token is None:
                    break
            assert seen == expected, (order, limit)


async def test_a_page_token_serves_its_own_query_only(api: TestClient, rows: Rows) -> None:
    await rows.run()
    await rows.run()
    token = (await search(api, limit=1))["next_page_token"]
    for body in (
        {"page_token": token, "filter": "metrics.a > 1"},
        {"page_token": token, "view": "all"},
        {"page_token": "junk"},
        {"page_token": "W10"},
        {"page_token": "é"},
        {"page_token": ""},
        {"page_token": 7},
    ):
        async with api.post("/api/v1/runs/search", json=body) as answer:
            found = await answer.json()
            assert (answer.status, found["field"]) == (400, "page_token"), found


async def test_a_page_token_of_a_generation_that_is_gone_is_refused(api: TestClient, rows: Rows) -> None:
    await rows.run()
    await rows.run()
    token = (await search(api, limit=1))["next_page_token"]
    await rows.connection.execute(
        """ALTER SCHEMA runstone_g1 RENAME TO runstone_g2;
           INSERT INTO runstone_meta.generations (generation) VALUES ('runstone_g2');
           UPDATE runstone_meta.live SET generation = 'runstone_g2';
           DELETE FROM runstone_meta.generations WHERE generation = 'runstone_g1'"""
    )
    async with api.post("/api/v1/runs/search", json={"page_token": token}) as answer:
        assert answer.status == 400
        assert "runstone_g2" in (await answer.json())["detail"]
    assert len(await names(api)) == 2


async def test_runs_side_by_side(api: TestClient, rows: Rows) -> None:
    a = await rows.run(name="A", params={"C": "0.1", "solver": "x"}, metrics={"acc": 0.8})
    b = await rows.run(name="B", params={"C": "0.5", "solver": "x", "own": "1"}, metrics={"acc": math.nan})
    async with api.post("/api/v1/runs/compare", json={"run_ids": [b, a, b]}) as answer:
        found = await answer.json()
    assert [run["name"] for run in found["runs"]] == ["B", "A"]
    assert found["params"] == {
        "differ": {"C": {b: "0.5", a: "0.1"}, "own": {b: "1", a: None}},
        "agree": {"solver": "x"},
    }
    assert found["metrics"] == {"acc": {b: "NaN", a: 0.8}}


async def test_comparing_with_an_unknown_run_names_it(api: TestClient, rows: Rows) -> None:
    a = await rows.run()
    async with api.post("/api/v1/runs/compare", json={"run_ids": [a, "nobody"]}) as answer:
        assert answer.status == 404
        assert "'nobody'" in (await answer.json())["detail"]


async def test_experiments_are_listed_found_by_name_and_by_id(api: TestClient, rows: Rows) -> None:
    await rows.connection.execute("DELETE FROM experiments")  # "Default" is there from the beginning
    for name in ("b", "a", "c"):
        await rows.experiment(name, owner=name)
    await rows.experiment("deleted", stage="deleted")

    async def listed(**query: Any) -> dict[str, Any]:
        async with api.get("/api/v1/experiments", params=query) as answer:
            assert answer.status == 200
            return await answer.json()

    first = await listed(limit=2)
    assert [e["name"] for e in first["experiments"]] == ["a", "b"]
    rest = await listed(limit=2, page_token=first["next_page_token"])
    assert [e["name"] for e in rest["experiments"]] == ["c"]
    assert rest["next_page_token"] is None
    (found,) = (await listed(name="b"))["experiments"]
    assert found == {
        "experiment_id": experiment_id("b"),
        "name": "b",
        "lifecycle_stage": "active",
        "creation_time": 1,
        "last_update_time": 2,
        "tags": {"owner": "b"},
    }
    assert (await listed(name="nowhere"))["experiments"] == []
    assert [e["name"] for e in (await listed(view="deleted"))["experiments"]] == ["deleted"]
    async with api.get(f"/api/v1/experiments/{found['experiment_id']}") as answer:
        assert await answer.json() == found
    async with api.get("/api/v1/experiments/12345") as answer:
        assert answer.status == 404
