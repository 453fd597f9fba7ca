"""What a write is checked against is never older than what this gateway has seen of the read model."""

from runstone_gateway.mlflow.routes import WRITES
from runstone_gateway.mlflow.routing import Call
from tests.gateway_in_memory import CATALOG_TOPIC, RUN, Everything, Topics, services


class Lagging(Everything):
    """One of several replicas: it has not yet applied the catalog's first record, unless asked to wait."""

    def __init__(self) -> None:
        self.waited_for = []

    async def verdict(self, _request, _needs):
        return {"accepted": True, "code": "", "answer": {}}

    async def facts(self, asked):
        self.waited_for.append(asked.get("at_least", {}))
        applied = {CATALOG_TOPIC: {"0": 1 if "at_least" in asked else 0}}
        return await super().facts(asked) | {"applied": applied}


async def test_after_a_verdict_the_catalog_is_read_as_it_was_then_or_later():
    read_api = Lagging()
    made = services(Topics(), read_api)
    (delete,) = [route for route in WRITES if route.path == "/experiments/delete"]
    await (await delete.handle(made, Call({"experiment_id": "0"}, {}, b"")))()
    await made.writes.experiment_and_run(0, RUN)
    assert read_api.waited_for == [{}, {CATALOG_TOPIC: {"0": 1}}]
