"""What the gateway accepts, the read model can hold: no accepted body of any route becomes a dead letter.

The routes' own handlers run, with the ledger that they write to; what it submits is read as the worker reads
it. Whatever is asked for exists, so that it is the body alone that decides.
"""

import asyncio

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runstone.events.identity import partition_of
from runstone.exceptions import InvalidInputError
from runstone_gateway.mlflow.decoding import decode, parse
from runstone_gateway.mlflow.errors import MlflowError
from runstone_gateway.mlflow.messages import AS_IT_IS, BOOLEAN, INTEGER, METRIC, NUMBER, TEXT, Field, Message
from runstone_gateway.mlflow.routes import WRITES
from runstone_gateway.mlflow.routing import Call
from runstone_gateway.mlflow.rules import DATASETS_PER_REQUEST
from runstone_ingest.dead_letters import admit
from runstone_ingest.records import Admitted, Record
from runstone_query.configuration import BODY_MAX
from tests.gateway_in_memory import CATALOG_TOPIC, MODEL, PARTITIONS, RUN, TAG, Everything, Topics, services
from tests.rows_in_memory import Tables

LONG = st.builds(
    lambda letter, n: letter * n,
    st.sampled_from(["x", "é", "語", "🦊", "\x01", "a/"]),
    st.sampled_from([36, 37, 64, 65, 249, 250, 251, 255, 256, 257, 499, 500, 501, 2000, 2001, 8001, 100_001]),
)
SPECIAL = st.sampled_from(
    ["", "k", "0", "Default", "None", "staging", "mlflow.runName", "mlflow.user", "mlflow.parentRunId",
     "mlflow.log-model.history", "\x85", "a b", "http://[", "file:///a", "s3://b/a", f"runs:/{RUN}/m",
     f"models:/{MODEL}", "models:/n/1", "models:/n@latest", "[" * 5000, '{"a":1}', "1e400", "catalog"]
)  # fmt: skip
ANY_TEXT = LONG | SPECIAL | st.text(max_size=12)
INTEGERS = st.integers(-(2**63), 2**64 - 1) | st.sampled_from([0, 253_402_300_799_999, 253_402_300_800_000])
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(["NaN", "-Infinity", "1e999", 7])
SCALARS = {TEXT: ANY_TEXT, AS_IT_IS: ANY_TEXT, INTEGER: INTEGERS, NUMBER: NUMBERS, BOOLEAN: st.booleans()}
USUAL = {
    "run_id": RUN, "source_run_id": RUN, "experiment_id": "0", "key": TAG, "name": "n", "version": "1",
    "new_name": "o", "stage": "Staging", "alias": "a", "source": "s3://b/a", "model_id": MODEL, "digest": "d",
    "model_json": '{"artifact_path": "m", "flavors": {}, "utc_time_created": "t", "run_id": "r"}',
}  # fmt: skip
PAIRS = [{"key": TAG, "value": "v"}]
MODELS = [{"model_id": MODEL}]
USUAL_OF = {
    "/runs/update": {"status": "FINISHED"},
    "/runs/log-metric": {"value": 1.5, "timestamp": 7},
    "/runs/log-batch": {"tags": PAIRS, "params": PAIRS},
    "/runs/log-inputs": {"models": MODELS},
    "/runs/outputs": {"models": MODELS},
    "/logged-models/{model_id}": {"status": 2},
    "/logged-models/{model_id}/params": {"params": PAIRS},
    "/logged-models/{model_id}/tags": {"tags": PAIRS},
}


def name_of(route) -> str:
    return f"{route.method} {route.path}"


def values(field: Field) -> st.SearchStrategy:
    """JSON values of *field*, the usual one among them."""
    kind = field.kind
    if field.name == "metrics":
        found = st.lists(bodies(METRIC), max_size=4)
    elif isinstance(kind, Message):
        found = bodies(kind)
    elif isinstance(kind, str):
        found = SCALARS[kind]
    else:
        found = st.sampled_from([*kind, 1])
    if field.repeated:
        return st.lists(found, max_size=4)
    return st.just(USUAL[field.name]) | found if field.name in USUAL else found


def bodies(message: Message) -> st.SearchStrategy:
    return st.fixed_dictionaries({}, optional={field.name: values(field) for field in message.fields})


def usual_body(route) -> dict:
    """One that the route accepts."""
    body = {f.name: USUAL.get(f.name) for f in route.message.fields if f.name in route.required}
    return body | USUAL_OF.get(route.path, {})


@st.composite
def bodies_of(draw, route) -> bytes:
    """A body that is usual but for some of its fields."""
    body = usual_body(route)
    if fields := route.message.fields:
        for field in draw(st.lists(st.sampled_from(fields), max_size=3)):
            body[field.name] = draw(values(field))
    return orjson.dumps(body)


async def written(route, body: bytes) -> list[Record]:
    """What the gateway writes for *body*; nothing where it refuses it."""
    topics, path = Topics(), {"model_id": MODEL, "key": TAG}
    try:
        fields = decode(route.message, parse(body), route.required, route.check)
        await route.handle(services(topics, Everything()), Call(fields, path, body))
    except (MlflowError, InvalidInputError):
        assert not topics.records
    return topics.records


@pytest.mark.parametrize("route", WRITES, ids=name_of)
@given(st.data())
@settings(max_examples=80, deadline=None)
def test_no_body_that_is_accepted_becomes_a_dead_letter(route, data):
    tables = Tables()
    for record in asyncio.run(written(route, data.draw(bodies_of(route)))):
        in_catalog = record.topic == CATALOG_TOPIC
        found = admit(record, in_catalog, lambda stream: partition_of(stream, PARTITIONS))
        assert isinstance(found, Admitted), found.reason
        tables.batch([found])


@pytest.mark.parametrize("route", WRITES, ids=name_of)
def test_the_usual_body_is_accepted(route):
    assert asyncio.run(written(route, orjson.dumps(usual_body(route))))


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("/runs/log-model", "model_json", "[" * 100_000),
        ("/experiments/create", "artifact_location", "http://[a"),
    ],
)
def test_what_no_parser_can_read_is_refused_as_the_callers_mistake(path, field, value):
    (route,) = [route for route in WRITES if route.path == path]
    assert asyncio.run(written(route, orjson.dumps(usual_body(route) | {field: value}))) == []


def test_a_run_that_is_given_as_many_datasets_as_a_request_may_hold_asks_for_no_more_than_the_read_api_takes():
    (route,) = [route for route in WRITES if route.path == "/runs/log-inputs"]

    class Measuring(Everything):
        async def facts(self, asked):
            assert len(orjson.dumps(asked)) <= BODY_MAX
            return await super().facts(asked)

    async def log(count: int) -> list[Record]:
        datasets = [{"dataset": {"name": f"{i:03}" + "\x01" * 497, "digest": "d"}} for i in range(count)]
        topics = Topics()
        fields = {"run_id": RUN, "datasets": datasets}
        await route.handle(services(topics, Measuring()), Call(fields, {}, b""))
        return topics.records

    assert asyncio.run(log(DATASETS_PER_REQUEST))
    with pytest.raises(MlflowError, match="at most 300 datasets"):
        asyncio.run(log(DATASETS_PER_REQUEST + 1))
