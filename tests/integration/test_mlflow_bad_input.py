"""Whatever stands in a request to write: it is taken or refused with 4xx, and leaves no dead letter."""

import io
import json
import random
from collections.abc import Iterator
from typing import Any

from yarl import URL

from runstone_gateway.mlflow.messages import BOOLEAN, INTEGER, NUMBER, TEXT, TEXT_MAP, Field, Message
from runstone_gateway.mlflow.routes import WRITES
from tests.fix_stack import Stack
from tests.mlflow_calls import done

REQUESTS = 900


class Token(str):
    """JSON as it is sent, which may be none."""

    __slots__ = ()


TEXTS = (
    "", " ", "\0", "a\0b", "😀", "😀" * 251, "x" * 251, "x" * 501, "é" * 3000, "x" * 20_001, "x" * 1_100_000,
    "\n", "a\nb", "\x7f", "\x85", "\u2028", "../..", ".", "/", "a//b", "%2e%2e", "%00", "'", "\\", "\U0010ffff",
    "a:b", "mlflow.runName", "mlflow.parentRunId", "mlflow.user", "mlflow.log-model.history", "latest", "0",
    "-1", "1_0", "9" * 5000, Token('"\\ud800"'), Token('"a\\udc00b"'),
)  # fmt: skip
NUMBERS = (
    *(Token(text) for text in (
        "0", "-0.0", "-1", "1.5", "1e400", "-1e400", "1e19", "9223372036854775807", "9223372036854775808",
        "-9223372036854775808", "-9223372036854775809", "18446744073709551616", "253402300800000", "9" * 5000,
        "NaN", "-Infinity", "01", "0x10",
    )),
    "1e400", "NaN", "-inf", "9" * 400, "9223372036854775808", "0x10",
)  # fmt: skip
OTHERS = (
    None, True, [], {}, [[]], [{}], [None], {"": ""}, Token("[" * 99 + "]" * 99), Token("[" * 1100 + "]" * 1100),
)  # fmt: skip
BODIES = (
    b"",
    b"null",
    b"[]",
    b'"{',
    b"\0",
    b"[" * 100_000,
    b'"\\ud800"',
    b'{"run_id":"\xff"}',
    "{}".encode("utf-16"),
)


def dump(found: Any) -> str:
    if isinstance(found, Token):
        return str(found)
    if isinstance(found, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{dump(value)}" for name, value in found.items()) + "}"
    if isinstance(found, list):
        return "[" + ",".join(map(dump, found)) + "]"
    return json.dumps(found)


def fitting(field: Field, known: dict[str, Any], chance: random.Random) -> Any:
    """A value that the field may well have."""
    kind = field.kind
    if isinstance(kind, Message):
        value: Any = {f.name: fitting(f, known, chance) for f in kind.fields if f.name != "run_uuid"}
    elif kind == TEXT:
        value = known.get(field.name, f"v{chance.getrandbits(40)}")
    elif kind in (INTEGER, NUMBER):
        value = chance.randrange(2**40)
    elif kind == BOOLEAN:
        value = True
    elif kind == TEXT_MAP:
        value = {"a": "b"}
    elif isinstance(kind, str):
        return [{"key": "m", "value": 1.0, "timestamp": 5, "step": 1}]
    else:
        value = chance.choice(list(kind))
    return [value] if field.repeated else value


def places(found: Any) -> Iterator[tuple[Any, Any]]:
    members = (
        found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    )
    for name, value in members:
        yield found, name
        yield from places(value)


async def entities(stack: Stack) -> dict[str, Any]:
    run_id = (await done(stack.client, "POST", "runs/create", experiment_id="0"))["run"]["info"]["run_id"]
    made = await done(stack.client, "POST", "logged-models", experiment_id="0")
    await done(stack.client, "POST", "registered-models/create", name=f"of {run_id}")
    source = f"runs:/{run_id}/model"
    await done(
        stack.client, "POST", "model-versions/create", name=f"of {run_id}", source=source, run_id=run_id
    )
    return {
        "experiment_id": "0", "run_id": run_id, "source_run_id": run_id, "source": source,
        "model_id": made["model"]["info"]["model_id"], "name": f"of {run_id}", "version": "1",
    }  # fmt: skip


async def test_whatever_a_request_to_write_holds_it_is_taken_or_refused_and_never_a_fault(stack):
    chance = random.Random(20)
    for i in range(REQUESTS):
        if i % 90 == 0:
            known = await entities(stack)
        route = WRITES[i % len(WRITES)]
        body = fitting(Field("", route.message), known, chance)
        spots = list(places(body))
        if spots:
            where, name = chance.choice(spots)
            where[name] = chance.choice(chance.choice((TEXTS, TEXTS, NUMBERS, OTHERS)))
        data = dump(body).encode() if chance.random() < 0.95 else chance.choice(BODIES)
        path = route.path.format(
            model_id=known["model_id"], key=chance.choice(("%00", "%ff", "k", "x" * 300))
        )
        target = URL(f"/api/2.0/mlflow{path}", encoded=True)
        headers = {"Content-Type": "application/json"}
        async with stack.client.request(
            route.method, target, data=io.BytesIO(data), headers=headers
        ) as answer:
            found = await answer.json()
        sent = f"{route.method} {path[:100]} {data[:300]!r} -> {answer.status} {str(found)[:300]}"
        if found.get("error_code") == "INVALID_STATE":
            continue  # MLflow's own 500 for renaming a deleted experiment
        assert answer.status < 500 or answer.status == 501, sent
        assert answer.status == 200 or (found["error_code"] and found["message"]), sent
    await done(stack.client, "POST", "runs/search", experiment_ids=["0"])
    assert await stack.database.rows("SELECT reason FROM dead_letters") == []


async def test_what_the_read_api_refuses_is_refused_and_not_put_off(stack):
    for name in ("..", "a/b", "x" * 3000):
        parameters = {"name": name, "version": "1", "path": "a"}
        async with stack.client.get("/model-versions/get-artifact", params=parameters) as answer:
            found = await answer.json()
        assert answer.status in {400, 404}, found
        assert found["error_code"] in {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"}
