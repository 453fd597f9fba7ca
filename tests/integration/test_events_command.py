"""`runstone events dump|tail`: JSON lines of a real topic, and going on behind what was read."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

from runstone.events import encoding, types
from tests.publishing import SESSION, envelope, points

RUN = "0a" * 16


async def start(kafka: str, prefix: str, *arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("runstone"),
        "events",
        *arguments,
        stdout=PIPE,
        stderr=PIPE,
        env=os.environ | {"RUNSTONE_BOOTSTRAP_SERVERS": kafka, "RUNSTONE_TOPIC_PREFIX": prefix},
    )


async def lines(process: Process, code: int = 0) -> list[dict[str, Any]]:
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    assert process.returncode == code, err
    return [json.loads(line) for line in out.splitlines()]


async def test_a_dump_goes_on_where_the_last_one_ended(kafka, prefix, publish):
    series = types.SeriesKey("loss")
    await publish.publish(envelope(RUN, 0, [types.Tag("k", "v", 1)], points(("loss", 3, 5, float("nan")))))
    await publish.records([(RUN, b"\xff", encoding.headers(SESSION, RUN, 2, 1))])
    *found, last = [
        line for line in await lines(await start(kafka, prefix, "dump", "--run", RUN)) if "event" in line
    ] + (await lines(await start(kafka, prefix, "dump", "--run", RUN)))[-1:]
    assert [(line["seq"], line["event"]["type"]) for line in found] == [
        (0, "tag"),
        (1, "point"),
        (2, "unreadable"),
    ]
    assert found[1]["event"] == {"type": "point", "key": series.key, "step": 3, "time": 5, "value": "NaN"}
    assert {line["stream"] for line in found} == {RUN}

    await publish.publish(envelope(RUN, 3, [types.RunEnded("FINISHED", 2000)]))
    again = await lines(await start(kafka, prefix, "dump", "--run", RUN, "--from", last["position"]))
    assert [line["seq"] for line in again if "event" in line] == [3]


async def test_tail_prints_what_comes_until_it_is_interrupted(kafka, prefix, publish):
    await publish.publish(envelope(RUN, 0, [types.Tag("before", "v", 1)]))
    tail = await start(kafka, prefix, "tail")
    try:
        async with asyncio.timeout(20):
            assert "position" in json.loads(await tail.stdout.readline())  # it stands at the end, and says so
            await publish.publish(envelope(RUN, 1, [types.Tag("after", "v", 1)]))
            assert json.loads(await tail.stdout.readline())["event"]["key"] == "after"
            position = json.loads(await tail.stdout.readline())["position"]
        tail.send_signal(signal.SIGINT)
        assert await lines(tail, code=130) == []
    finally:
        if tail.returncode is None:
            tail.kill()
            await tail.communicate()
    await publish.publish(envelope(RUN, 2, [types.Tag("later", "v", 1)]))
    later = await lines(await start(kafka, prefix, "dump", "--from", position))
    assert [line["event"]["key"] for line in later if "event" in line] == ["later"]


async def test_a_time_that_is_none_is_a_usage_error(kafka, prefix):
    assert await lines(await start(kafka, prefix, "dump", "--since", "yesterday"), code=2) == []
