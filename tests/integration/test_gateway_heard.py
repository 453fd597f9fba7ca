"""Heartbeats by HTTP: what the gateway takes, and where they arrive."""

import json
from typing import Any

from runstone_gateway.heard import BODY_MOST
from tests.fix_stack import Stack

ALICE, BOB = "aa" * 16, "bb" * 16
HEARD = "SELECT session FROM runstone_meta.heard ORDER BY session"


async def post(stack: Stack, body: bytes, **headers: str) -> tuple[int, Any]:
    said = {"Content-Type": "application/json"} | headers
    async with stack.client.post("/api/v1/heard", data=body, headers=said) as answer:
        return answer.status, await answer.json() if answer.status != 202 else None


async def test_heartbeats_arrive_in_the_table_and_bad_ones_are_refused_whole(stack: Stack) -> None:
    await stack.database.until(HEARD, lambda rows: rows == [("",)])  # the gateway's own sign of life
    for body in (
        b"", b"{", b"[]", b'{"sessions": []}', b'{"sessions": ["short"]}', b'{"sessions": 1}',
        json.dumps({"sessions": [ALICE, ALICE.upper()]}).encode(),
    ):  # fmt: skip
        status, found = await post(stack, body)
        assert (status, found["title"]) == (400, "Not sessions"), body
    assert (await post(stack, b" " * (BODY_MOST + 1)))[0] == 413
    assert (await post(stack, b"{}", **{"Content-Type": "text/plain"}))[0] == 415
    body = json.dumps({"sessions": [BOB, ALICE, BOB]}).encode()
    assert (await post(stack, body, **{"Runstone-Installation": "another"}))[0] == 409
    async with stack.client.get("/api/v1/heard") as answer:
        assert answer.status in {404, 405}
    assert await stack.database.rows(HEARD) == [("",)]
    assert await post(stack, body) == (202, None)
    await stack.database.until(HEARD, lambda rows: rows == [("",), (ALICE,), (BOB,)])
