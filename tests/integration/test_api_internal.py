"""What the gateway asks for itself: facts before it writes, verdicts after."""

import asyncio
from typing import Any

from aiohttp.test_utils import TestClient

from runstone.events.identity import experiment_id
from tests.fix_api import TOPICS
from tests.read_model_rows import Rows


async def facts(api: TestClient, **asked: Any) -> dict[str, Any]:
    async with api.post("/internal/v1/facts", json=asked) as answer:
        found = await answer.json()
        assert answer.status == 200, found
        return found


async def test_facts_of_nothing_tell_how_far_the_read_model_is(api: TestClient, rows: Rows) -> None:
    empty = {"runs": {}, "experiments": {}, "models": {}}
    assert await facts(api) == {"generation": "runstone_g1", "applied": {}, **empty}
    await rows.insert("ingest_partitions", topic=TOPICS["events"], partition=11, next_offset=7)
    asked = {"runs": {"nobody": {"params": ["a"]}}, "experiments": [5]}
    assert await facts(api, **asked, models=["m-x\0"]) == {
        "generation": "runstone_g1",
        "applied": {TOPICS["events"]: {"11": 7}},
        **empty,
    }


async def test_facts_hold_what_was_asked_for_and_no_more(api: TestClient, rows: Rows) -> None:
    churn = await rows.experiment("churn", stage="deleted")
    await rows.connection.execute("UPDATE experiments SET artifact_location = 's3://b' WHERE name = 'churn'")
    run_id = await rows.run(
        params={"a": "1", "b": "é\"'", "c": "3"}, tags={"t": "v", "u": "w"}, end_time=2000
    )
    other = await rows.run("unknown", lifecycle_stage="deleted", status="RUNNING", params={"a": "2"})
    await rows.insert(
        "logged_models",
        model_id="m-1",
        stream=run_id,
        experiment_id=churn,
        name="model",
        source_run_id=run_id,
        params='{"C": "1"}',
    )
    for name, digest in (("d", "1"), ("other", "2")):
        empty = dict.fromkeys(("source_type", "source", "schema", "profile"), "")
        await rows.insert(
            "dataset_inputs", run_id=run_id, name=name, digest=digest, time=1, tags="{}", **empty
        )
    found = await facts(
        api,
        runs={run_id: {"params": ["b", "a", "none"], "tags": ["t"], "datasets": ["d", "e"]}, other: {}},
        experiments=[churn, 0],
        models=["m-1", "m-2"],
    )
    assert found["runs"] == {
        run_id: {
            "experiment_id": churn,
            "experiment_name": "churn",
            "name": "a run",
            "status": "FINISHED",
            "lifecycle_stage": "deleted",  # as its experiment is
            "artifact_location": "s3://b",
            "start_time": 1000,
            "end_time": 2000,
            "user": "alice",
            "params": {"a": "1", "b": "é\"'"},
            "tags": {"t": "v"},
            "datasets": {"d": ["1"]},
        },
        other: {
            "experiment_id": experiment_id("unknown"),
            "experiment_name": "unknown",
            "name": "a run",
            "status": "RUNNING",
            "lifecycle_stage": "deleted",
            "artifact_location": None,
            "start_time": 1000,
            "end_time": None,
            "user": "alice",
            "params": {},
            "tags": {},
            "datasets": {},
        },
    }
    assert found["experiments"] == {
        "0": {"name": "Default", "lifecycle_stage": "active", "artifact_location": ""},
        str(churn): {"name": "churn", "lifecycle_stage": "deleted", "artifact_location": "s3://b"},
    }
    assert found["models"] == {
        "m-1": {
            "stream": run_id,
            "experiment_id": churn,
            "name": "model",
            "source_run_id": run_id,
            "status": "PENDING",
            "lifecycle_stage": "active",
            "params": {"C": "1"},
        }
    }


async def test_facts_follow_a_flip_of_the_generation(api: TestClient, rows: Rows) -> None:
    run_id = await rows.run()
    assert (await facts(api, runs={run_id: {}}))["generation"] == "runstone_g1"
    await rows.connection.execute(
        """ALTER SCHEMA runstone_g1 RENAME TO runstone_g2;
           INSERT INTO runstone_meta.generations (generation) VALUES ('runstone_g2');
           UPDATE runstone_meta.live SET generation = 'runstone_g2'"""
    )
    found = await facts(api, runs={run_id: {}})
    assert (found["generation"], list(found["runs"])) == ("runstone_g2", [run_id])


async def test_facts_wait_for_what_they_must_have_seen(api: TestClient, rows: Rows) -> None:
    asking = asyncio.create_task(facts(api, at_least={TOPICS["events"]: {"3": 9}}))
    done, _ = await asyncio.wait([asking], timeout=0.2)
    assert not done
    await rows.insert("ingest_partitions", topic=TOPICS["events"], partition=3, next_offset=9)
    assert (await asking)["applied"] == {TOPICS["events"]: {"3": 9}}


async def test_a_question_that_is_wrong_is_refused(api: TestClient, rows: Rows) -> None:
    for body in (
        {"runs": ["a"]}, {"runs": {"a": 1}}, {"runs": {"a": {"params": "x"}}}, {"experiments": ["1"]},
        {"models": [1]}, {"models": {}}, {"at_least": {"t": {}}}, {"other": 1},
    ):  # fmt: skip
        async with api.post("/internal/v1/facts", json=body) as answer:
            assert answer.status == 400, body


async def test_a_verdict_is_there_once_the_request_has_been_applied(api: TestClient, rows: Rows) -> None:
    path = f"/internal/v1/verdicts/{'ab' * 16}"
    async with api.get(path) as answer:
        assert answer.status == 404
    header = {"Runstone-At-Least": f'{{"{TOPICS["catalog"]}": {{"0": 3}}}}'}
    asking = asyncio.create_task(api.get(path, headers=header))
    done, _ = await asyncio.wait([asking], timeout=0.1)
    assert not done
    async with rows.connection.transaction():
        await rows.insert("ingest_partitions", topic=TOPICS["catalog"], partition=0, next_offset=3)
        await rows.insert(
            "verdicts",
            request="ab" * 16,
            offset=2,
            accepted=False,
            code="exists",
            answer='{"experiment_id": 5}',
        )
    async with await asking as answer:
        assert await answer.json() == {"accepted": False, "code": "exists", "answer": {"experiment_id": 5}}


async def test_a_request_that_could_not_be_applied_says_why(api: TestClient, rows: Rows) -> None:
    path = f"/internal/v1/verdicts/{'ab' * 16}"
    await rows.insert(
        "dead_letters", topic=TOPICS["catalog"], partition=0, offset=7, reason="the name is too long"
    )
    async with api.get(path, params={"offset": "7"}) as answer:
        assert await answer.json() == {
            "accepted": False,
            "code": "dead_letter",
            "answer": {"reason": "the name is too long"},
        }
    async with api.get(path, params={"offset": "8"}) as answer:
        assert answer.status == 404
