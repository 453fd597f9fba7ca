"""Asking a Kafka that is away."""

import asyncio
import socket

import pytest

from runstone_gateway import end_offsets
from runstone_gateway.end_offsets import EndOffsets
from runstone_gateway.unavailable import KafkaAwayError


@pytest.fixture
def silent():
    """The address of something that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


async def test_however_many_ask_a_kafka_that_is_away_none_waits_for_the_others(silent, monkeypatch):
    monkeypatch.setattr(end_offsets, "DEADLINE", 0.5)
    ends = EndOffsets(silent)
    async with asyncio.timeout(5):
        found = await asyncio.gather(*(ends.ask([("t", 0)]) for _ in range(20)), return_exceptions=True)
        assert all(isinstance(away, KafkaAwayError) for away in found)
        await ends.stop()
