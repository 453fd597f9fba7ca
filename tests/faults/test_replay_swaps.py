"""Swapping generations to and fro while a gateway writes and people read: no read fails, none goes back.

What is counted are reads through the gateway of what it has just written (each must see it), MLflow's own
calls that are checked against the read model, pages of a search, and reads of the views by a pool that never
reconnects. The second generation is built from the topics meanwhile; afterwards both hold the same. Row 16 of the
fault table.
"""

import asyncio
import io
import json
import time

import pytest

from runstone_ingest.following import Following
from runstone_store import generation_changes, generations, pool
from tests.faults.scale import parts, times
from tests.fix_replay import compare, replaying, until_state
from tests.fix_stack import Stack

FLIPS_WITHIN = 5
"""Seconds, to the new generation and back alike."""

API = "/api/2.0/mlflow"
JSON = {"Content-Type": "application/json"}


class Load:
    """Writes and reads until it is told to stop; every answer that is not as it must be is a failure."""

    def __init__(self, stack: Stack, enough: int) -> None:
        self.stack = stack
        self.enough = enough
        self.reads = 0
        self.failures: list[str] = []
        self.stopping = False

    async def post(self, path: str, **body) -> tuple[int, dict]:
        sent = io.BytesIO(json.dumps(body).encode())
        async with self.stack.client.post(API + path, data=sent, headers=JSON) as answer:
            return answer.status, await answer.json()

    def failed(self, what: str) -> None:
        self.failures.append(what)

    async def mlflow_client(self, name: str) -> None:
        """Makes runs one after the other; each param is read back at once, and contradicted."""
        number = 0
        while not self.stopping:
            number += 1
            status, made = await self.post("/runs/create", experiment_id="0", run_name=f"{name}-{number}")
            if status != 200:
                self.failed(f"create: {made}")
                continue
            run_id = made["run"]["info"]["run_id"]
            for key in "abc":
                status, said = await self.post("/runs/log-parameter", run_id=run_id, key=key, value="1")
                if status != 200:
                    self.failed(f"log-parameter: {said}")
                status, said = await self.post("/runs/log-parameter", run_id=run_id, key=key, value="2")
                if status != 400:
                    self.failed(f"a contradicting param: {status} {said}")
                async with self.stack.client.get(f"{API}/runs/get?run_id={run_id}") as answer:
                    found = await answer.json()
                self.reads += 1
                params = [p["key"] for p in found.get("run", {}).get("data", {}).get("params", [])]
                if key not in params:
                    self.failed(f"runs/get after {key}: {answer.status} {found}")

    async def pages(self) -> None:
        """Searches page by page."""
        while not self.stopping:
            token = None
            while not self.stopping:
                body = {"limit": 5, "order_by": ["start_time"], **({"page_token": token} if token else {})}
                async with self.stack.client.post("/api/v1/runs/search", json=body) as answer:
                    found = await answer.json()
                self.reads += 1
                if answer.status != 200:
                    self.failed(f"search: {found}")
                    break
                if (token := found["next_page_token"]) is None:
                    break

    async def views(self, readers) -> None:
        """Reads the views over a connection that stays."""
        async with readers.acquire() as connection:
            asked = await connection.prepare("SELECT count(*), min(name) FROM runstone.runs")
            before = 0
            while not self.stopping:
                try:
                    (count, _name) = await asked.fetchrow()
                    await connection.fetch("SELECT * FROM runstone.params ORDER BY run_id DESC LIMIT 3")
                except Exception as wrong:
                    self.failed(f"views: {wrong!r}")
                    return
                self.reads += 2
                if count < before:
                    self.failed(f"the views went back from {before} runs to {count}")
                before = count


@parts(10)
@pytest.mark.timeout(1500)
@pytest.mark.usefixtures("part")
async def test_swaps_under_load_lose_no_read(stack: Stack, database: str):
    worker = Following(stack.bootstrap, database, stack.prefix)
    working_on = asyncio.create_task(worker.run())
    load = Load(stack, times(300, 10_000))
    readers = await pool.open_readers(database, "test", 2)
    connection = await pool.connect_writer(database, "test")
    clients = [
        asyncio.create_task(work)
        for work in (load.mlflow_client("x"), load.mlflow_client("y"), load.pages(), load.views(readers))
    ]
    try:
        async with asyncio.timeout(600):
            while load.reads < load.enough / 10:  # noqa: ASYNC110 - there is something to build it from then
                await asyncio.sleep(0.05)
        first = await generations.live(connection)
        async with replaying(stack.bootstrap, database, stack.prefix) as name:
            swaps, longest = 0, 0.0
            while swaps < times(6, 20) or load.reads < load.enough or swaps % 2 == 0:
                began = time.monotonic()
                await generation_changes.flip(connection, name if swaps % 2 == 0 else first)
                longest = max(longest, time.monotonic() - began)
                swaps += 1
                await asyncio.sleep(0.05)
                assert not load.failures, load.failures[:3]
        load.stopping = True
        await asyncio.gather(*clients)
        found = await compare(database, stack.prefix, first, name)
        assert (found.differences, found.unsettled, load.failures) == ([], [], [])
        await generation_changes.drop(connection, first)
        await until_state(connection, name, "live")
        print(f"{load.reads} reads, {swaps} swaps, of which the longest took {longest:.2f} s")
        assert longest < FLIPS_WITHIN
    finally:
        load.stopping = True
        await asyncio.gather(*clients, return_exceptions=True)
        worker.stop()
        await working_on
        connection.terminate()
        await readers.close()
