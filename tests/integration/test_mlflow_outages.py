"""MLflow's writes when Kafka, the read API or this gateway is away: nothing is lost, doubled or half done."""

import asyncio
import io
import json
import os
import signal
import time

import aiohttp
import pytest

from runstone_gateway import ledger as ledger_module
from runstone_gateway.app import application
from runstone_gateway.configuration import from_environment
from runstone_local import fetch
from runstone_local.kafka import KafkaAddresses, KafkaNode
from runstone_local.layout import DataFolder
from runstone_local.ports import free_ports
from tests.fix_services import run_apart
from tests.fix_stack import Stack, another_gateway
from tests.mlflow_calls import call, done

METRIC = {"key": "m", "value": 1.5, "timestamp": 7, "step": 3}


class Broker:
    """A Kafka of this module's own, that can be made to stand still."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def halt(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory):
    folder = DataFolder(tmp_path_factory.mktemp("kafka"))
    folder.create()
    addresses = KafkaAddresses(*free_ports(3))
    node = KafkaNode(fetch.fetch_kafka(print), folder.kafka, addresses, folder.log("kafka"))
    run_apart(node.prepare())
    running = node.start()
    try:
        run_apart(node.wait_ready(running))
        yield addresses.internal, Broker(running.pid)
    finally:
        os.kill(running.pid, signal.SIGCONT)
        run_apart(node.stop(running))


@pytest.fixture(scope="module")
def kafka(own_kafka) -> str:
    return own_kafka[0]


@pytest.fixture
def broker(own_kafka):
    yield own_kafka[1]
    own_kafka[1].go_on()


@pytest.fixture
def impatient(monkeypatch) -> None:
    monkeypatch.setattr(ledger_module.Written.wait, "__defaults__", (0.5,))


@pytest.fixture
async def run_id(stack: Stack) -> str:
    made = await done(stack.client, "POST", "runs/create", experiment_id="0")
    return made["run"]["info"]["run_id"]


async def post(client, path, **body):
    async with client.post(f"/api/2.0/mlflow/{path}", json=body) as answer:
        return answer.status, await answer.json(), answer.headers.get("Retry-After")


async def count_runs(client) -> int:
    found = await done(client, "POST", "runs/search", experiment_ids=["0"])
    return len(found.get("runs", []))


async def test_a_write_that_kafka_does_not_take_is_answered_503_and_its_retry_joins_it(
    stack, broker, run_id, impatient
):
    broker.halt()
    creation = {"experiment_id": "0", "start_time": time.time_ns() // 1_000_000}
    for path, body in (("runs/log-metric", {"run_id": run_id, **METRIC}), ("runs/create", creation)):
        for _ in range(2):
            status, found, retry = await post(stack.client, path, **body)
            assert (status, found["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
            assert int(retry) >= 1
    broker.go_on()
    assert (await call(stack.client, "POST", "runs/log-metric", run_id=run_id, **METRIC))[0] == 200
    made = await done(stack.client, "POST", "runs/create", **creation)
    assert await count_runs(stack.client) == 2
    path = f"/api/v1/runs/{run_id}"
    async with stack.client.get(f"{path}/metrics/m", params={"consistent": "true"}) as answer:
        assert (await answer.json())["values"] == [1.5]
    assert made["run"]["info"]["run_id"] != run_id


async def test_a_client_that_gave_up_and_asks_again_gets_the_run_that_it_asked_for(stack, broker, run_id):
    broker.halt()
    creation = {"experiment_id": "0", "start_time": time.time_ns() // 1_000_000, "run_name": "once"}
    url = f"{stack.url}/api/2.0/mlflow/runs/create"
    for _ in range(3):
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.3)) as hasty:
            with pytest.raises(TimeoutError):
                await hasty.post(url, json=creation)
    broker.go_on()
    await done(stack.client, "POST", "runs/create", **creation)
    assert await count_runs(stack.client) == 2


async def test_when_kafka_has_been_away_for_long_writes_are_refused_at_once(
    stack, broker, run_id, impatient, monkeypatch
):
    monkeypatch.setattr(ledger_module, "ACK_DEADLINE", 0.0)
    monkeypatch.setattr("runstone.sender.publisher.TROUBLE_AFTER", 0.2)
    broker.halt()
    assert (await post(stack.client, "runs/log-metric", run_id=run_id, **METRIC))[0] == 503
    refused = METRIC | {"key": "refused"}
    async with asyncio.timeout(20):
        while "kept" in (await post(stack.client, "runs/log-metric", run_id=run_id, **refused))[1]["message"]:
            pass  # it was still waited for
    broker.go_on()
    async with asyncio.timeout(20):
        while (await post(stack.client, "runs/log-metric", run_id=run_id, **METRIC))[0] != 200:
            pass


async def test_without_the_read_api_a_write_says_so_and_leaves_nothing(stack):
    environment = stack.environment | {"RUNSTONE_API_URL": f"http://127.0.0.1:{free_ports(1)[0]}"}
    server = aiohttp.test_utils.TestServer(application(from_environment(environment)))
    async with aiohttp.test_utils.TestClient(server) as client:
        for path in ("runs/create", "experiments/create"):
            status, found, retry = await post(client, path, name="x")
            assert (status, found["error_code"], bool(retry)) == (503, "TEMPORARILY_UNAVAILABLE", True)
        async with client.get("/api/2.0/mlflow/runs/get", params={"run_id": "x"}) as answer:
            assert answer.status == 503
    assert await count_runs(stack.client) == 0


async def test_a_restarted_gateway_knows_everything_that_the_last_one_wrote(stack):
    creation = {"experiment_id": "0", "start_time": time.time_ns() // 1_000_000}
    for i in range(5):
        made = await done(stack.client, "POST", "runs/create", **creation, run_name=f"n{i}")
        run_id = made["run"]["info"]["run_id"]
        await done(stack.client, "POST", "runs/log-parameter", run_id=run_id, key="a", value="1")
        async with another_gateway(stack) as restarted:
            status, found = await call(
                restarted, "POST", "runs/log-parameter", run_id=run_id, key="a", value="2"
            )
            assert (status, "Changing param values" in found["message"]) == (400, True)
            again = await done(restarted, "POST", "runs/create", **creation, run_name=f"n{i}")
            assert again["run"]["info"] == made["run"]["info"]
            await done(restarted, "POST", "runs/delete", run_id=run_id)
        async with another_gateway(stack) as restarted:
            status, _ = await call(restarted, "POST", "runs/log-metric", run_id=run_id, **METRIC)
            assert status == 400
    assert await count_runs(stack.client) == 0


async def test_what_another_gateway_just_created_is_found(stack):
    async with another_gateway(stack) as other:
        for _ in range(10):
            made = await done(other, "POST", "runs/create", experiment_id="0")
            run_id = made["run"]["info"]["run_id"]
            await done(stack.client, "POST", "runs/log-metric", run_id=run_id, **METRIC)


async def test_a_session_is_left_for_a_new_one_before_its_table_grows_without_end(stack, monkeypatch):
    monkeypatch.setattr(ledger_module, "STREAMS_MOST", 3)
    for _ in range(10):
        made = await done(stack.client, "POST", "runs/create", experiment_id="0")
        run_id = made["run"]["info"]["run_id"]
        await done(stack.client, "POST", "runs/log-metric", run_id=run_id, **METRIC)
    async with stack.client.get(f"/api/v1/runs/{run_id}", params={"consistent": "true"}) as answer:
        assert (await answer.json())["completeness"]["complete"] is True
    sessions = await stack.database.rows("SELECT count(DISTINCT session)::int FROM marks")
    assert sessions[0][0] >= 4


async def test_a_batch_that_is_larger_than_an_envelope_travels_in_several(stack, run_id):
    params = [{"key": f"p{i}", "value": "\x01" * 6000} for i in range(100)]
    tags = [{"key": f"t{i}", "value": "\x01" * 8000} for i in range(100)]
    metrics = [{**METRIC, "timestamp": i} for i in range(500)]
    body = json.dumps({"run_id": run_id, "params": params, "tags": tags, "metrics": metrics}).encode()
    headers = {"Content-Type": "application/json"}
    path = "/api/2.0/mlflow/runs/log-batch"
    async with stack.client.post(path, data=io.BytesIO(body), headers=headers) as answer:
        assert answer.status == 200, await answer.text()
    async with stack.client.get(f"/api/v1/runs/{run_id}", params={"consistent": "true"}) as answer:
        found = await answer.json()
    assert found["params"] == {param["key"]: param["value"] for param in params}
    assert found["completeness"]["complete"] is True


async def test_a_gateway_that_stops_while_kafka_is_away_tells_who_waits_and_does_not_hang(
    stack, broker, run_id
):
    async with another_gateway(stack) as stopping:
        await done(stopping, "POST", "runs/log-metric", run_id=run_id, **METRIC)
        broker.halt()
        waiting = asyncio.create_task(post(stopping, "runs/log-metric", run_id=run_id, **METRIC))
        await asyncio.sleep(0)
        async with stopping.get("/health") as answer:  # behind the other request, which has been read by now
            assert answer.status == 200
        began = time.monotonic()
        await stopping.server.close()
        assert time.monotonic() - began < 5
        broker.go_on()
        status, found, _ = await waiting
        assert (status, found["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
