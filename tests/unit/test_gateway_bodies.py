"""Large bodies of many requests at once are put off before they fill the gateway's memory."""

import asyncio
import io

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from runstone_gateway.mlflow import bodies
from runstone_gateway.mlflow.serving import in_mlflows_words


@pytest.mark.parametrize("status", [200, 500])
async def test_what_is_too_much_together_is_put_off_and_taken_when_the_rest_is_done(monkeypatch, status):
    monkeypatch.setattr(bodies, "TOGETHER_MOST", 1000)
    counted, worked_on, go_on = bodies.Bodies(), asyncio.Event(), asyncio.Event()

    async def work(request: web.Request) -> web.Response:
        async with counted.of(request):
            worked_on.set()
            await go_on.wait()
            return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/", in_mlflows_words(work))
    async with TestClient(TestServer(app)) as client:

        async def post() -> web.Response:
            headers = {"Content-Type": "application/json"}
            return await client.post("/", data=io.BytesIO(b"x" * 600), headers=headers)

        first = asyncio.create_task(post())
        await worked_on.wait()
        second = await post()
        assert second.status == 503
        assert second.headers["Retry-After"]
        assert "Too many large requests" in (await second.json())["message"]
        go_on.set()
        assert (await first).status == status
        assert (await post()).status == status
