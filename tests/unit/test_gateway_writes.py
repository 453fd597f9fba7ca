"""What a write is checked against is never older than what this gateway has seen of the read model."""

import asyncio

import pytest

from runstone.events.types import ModelInput, Param
from runstone_gateway.mlflow.errors import MlflowError
from runstone_gateway.mlflow.routes import WRITES
from runstone_gateway.mlflow.routing import Call
from runstone_gateway.unavailable import UnavailableError
from tests.gateway_in_memory import CATALOG_TOPIC, RUN, Everything, Topics, services


class Lagging(Everything):
    """One of several replicas: it has not yet applied the catalog's first record, unless asked to wait."""

    def __init__(self) -> None:
        self.waited_for = []

    async def verdict(self, _request, _offset, _needs):
        return {"accepted": True, "code": "", "answer": {}}

    async def facts(self, asked):
        self.waited_for.append(asked.get("at_least", {}))
        applied = {CATALOG_TOPIC: {"0": 1 if "at_least" in asked else 0}}
        return await super().facts(asked) | {"applied": applied}


class Buried(Everything):
    """Whatever the catalog is asked has become a dead letter."""

    async def verdict(self, _request, offset, _needs):
        return {"accepted": False, "code": "dead_letter", "answer": {"reason": f"{offset} is unreadable"}}


class Unapplied(Everything):
    """What is written is never applied until `applied` says so."""

    def __init__(self) -> None:
        self.applied = {}

    async def facts(self, asked):
        return await super().facts(asked) | {"applied": self.applied}


async def test_a_read_model_that_stands_still_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr("runstone_gateway.writes.OVERLAY_MOST", 100_000)
    read_api, topics = Unapplied(), Topics()
    made = services(topics, read_api)
    with pytest.raises(UnavailableError):  # noqa: PT012 - one of them
        for i in range(100):
            await made.writes.run(RUN, params=["p"])
            made.writes.append(RUN, [Param(f"p{i}", "x" * 6000, 1)], params={f"p{i}": "x" * 6000})
            await asyncio.sleep(0)
    assert len(topics.records) == 16
    made.writes.append(RUN, [ModelInput("m", 1)])  # leaves nothing to be remembered
    read_api.applied = {topics.records[0].topic: {str(topics.records[0].partition): len(topics.records)}}
    await made.writes.run(RUN, params=["p"])
    assert made.writes.overlay.size == 0
    made.writes.append(RUN, [Param("p", "x", 1)], params={"p": "x"})


async def test_after_a_verdict_the_catalog_is_read_as_it_was_then_or_later():
    read_api = Lagging()
    made = services(Topics(), read_api)
    (delete,) = [route for route in WRITES if route.path == "/experiments/delete"]
    await (await delete.handle(made, Call({"experiment_id": "0"}, {}, b"")))()
    await made.writes.experiment_and_run(0, RUN)
    assert read_api.waited_for == [{}, {CATALOG_TOPIC: {"0": 1}}]


async def test_a_request_that_the_catalog_could_not_apply_is_refused_with_the_reason():
    (delete,) = [route for route in WRITES if route.path == "/experiments/delete"]
    conclusion = await delete.handle(services(Topics(), Buried()), Call({"experiment_id": "0"}, {}, b""))
    with pytest.raises(MlflowError, match=r"dead letter.*\(0 is unreadable\)") as refused:
        await conclusion()
    assert refused.value.status == 400
