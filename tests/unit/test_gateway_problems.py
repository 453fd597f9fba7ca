"""What the gateway refuses is in its log, once, whoever refused it."""

import logging

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from runstone_gateway.mlflow.errors import invalid
from runstone_gateway.mlflow.routes import add_routes
from runstone_gateway.mlflow.serving import in_mlflows_words
from runstone_gateway.problems import answer_failures, problem
from tests.gateway_in_memory import Everything, Topics, services

API = "/api/2.0/mlflow"


@in_mlflows_words
async def refuse(_request):
    raise invalid("a\nb")


async def problematic(_request):
    return problem(400, "Wrong", "so")


async def fail(_request):
    raise ValueError


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/refuse", 400),
        ("GET", "/problem", 400),
        ("GET", "/fail", 500),
        ("GET", f"{API}/runs/create", 405),
        ("GET", f"{API}/nothing%0Ahere", 404),
        ("GET", f"{API}/nothing%FF", 400),
        ("GET", "/problem?path=%ED%A0%80", 400),
        ("GET", f"{API}/traces/1", 501),
        ("POST", f"{API}/runs/create", 400),
    ],
)
async def test_whatever_is_refused_is_one_line_of_the_log(caplog, method, path, status):
    app = web.Application(middlewares=[answer_failures])
    app.router.add_get("/refuse", refuse)
    app.router.add_get("/problem", problematic)
    app.router.add_get("/fail", fail)
    add_routes(app, services(Topics(), Everything()))
    caplog.set_level(logging.INFO, "runstone.gateway")
    async with TestClient(TestServer(app)) as client, client.request(method, path) as answer:
        assert answer.status == status
    lines = [record.getMessage() for record in caplog.records if "is answered with" in record.getMessage()]
    assert len(lines) == 1
    assert "\n" not in lines[0]
    assert str(status) in lines[0]


def test_a_refusal_repeats_no_more_of_a_request_than_anybody_reads():
    refused = invalid(f"Run with id={'x' * 60_000_000} not found")
    assert len(refused.message) < 2000
    assert refused.message.startswith("Run with id=x")
    assert refused.message.endswith("x not found")
    assert len(problem(400, "Wrong", refused.message * 2).body) < 2500
