"""A retry of a request that is still being checked waits for it: one of both writes."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

from runstone_gateway.clock import now_ms
from runstone_gateway.mlflow.routes import WRITES
from runstone_gateway.mlflow.routing import Call
from runstone_gateway.mlflow.serving import writing
from runstone_gateway.unavailable import UnavailableError
from tests.gateway_in_memory import RUN, Everything, Topics, services

METRIC = {"run_id": RUN, "key": "m", "value": 1.5, "timestamp": 7}


class Slow(Everything):
    """Answers once it may."""

    def __init__(self) -> None:
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def facts(self, asked):
        self.asked.set()
        await self.may_answer.wait()
        return await super().facts(asked)


class AwayAtFirst(Everything):
    """Answers from the second time on."""

    def __init__(self) -> None:
        self.asked = False

    async def facts(self, asked):
        if not self.asked:
            self.asked = True
            raise UnavailableError("not yet")
        return await super().facts(asked)


@pytest.fixture
async def read_api() -> Slow:
    return Slow()


@pytest.fixture
def topics() -> Topics:
    return Topics()


@pytest.fixture
async def url(topics, read_api):
    """Where the gateway takes metrics; served as it serves, which is not how aiohttp's test server does."""
    (route,) = [route for route in WRITES if route.path == "/runs/log-metric"]
    app = web.Application()
    app.router.add_post("/", writing(services(topics, read_api), route))
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def test_a_client_that_asks_again_before_its_first_request_was_checked_writes_once(
    url, topics, read_api
):
    async with asyncio.timeout(10):
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.2)) as hasty:
            with pytest.raises(TimeoutError):
                await hasty.post(url, json=METRIC)
        await read_api.asked.wait()
        async with aiohttp.ClientSession() as patient:
            again = asyncio.create_task(patient.post(url, json=METRIC))
            asyncio.get_running_loop().call_later(0.2, read_api.may_answer.set)
            assert (await again).status == 200
    assert len(topics.records) == 1


async def test_a_creation_that_was_put_off_gets_the_id_that_a_restarted_gateway_looks_for():
    (route,) = [route for route in WRITES if route.path == "/runs/create"]
    call = Call({"experiment_id": "0", "start_time": now_ms()}, {}, b"a run")

    async def created(at) -> str:
        return (await (await route.handle(at, call))())["run"]["info"]["run_id"]

    gateway = services(Topics(), AwayAtFirst())
    with pytest.raises(UnavailableError):
        await created(gateway)
    assert await created(gateway) == await created(services(Topics(), Everything()))
