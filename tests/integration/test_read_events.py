"""`runstone.read_events`: the ledger as a user reads it, from a real Kafka."""

import asyncio
import math
import time

import pytest

import runstone
from runstone.events import CATALOG, cut, encode, encoding, identity, types
from runstone.events.types import SeriesKey
from runstone.exceptions import InvalidInputError, NoSuchExperimentError, ServerError
from runstone.ledger import LedgerEvent, Point, Unreadable
from tests.fix_worker import PARTITIONS
from tests.publishing import SESSION, envelope, points
from tests.rows_in_memory import pack

RUN, OTHER = "0a" * 16, "0b" * 16
DIGITS = identity.experiment_id("digits")


def started(experiment: str = "digits") -> types.RunStarted:
    return types.RunStarted(identity.experiment_id(experiment), experiment, "first", 1000)


@pytest.fixture
def read(kafka, prefix):
    """Everything that is asked for, as a list."""

    async def reading(**asked: object) -> list[LedgerEvent]:
        return [event async for event in runstone.read_events(kafka, topic_prefix=prefix, **asked)]

    return reading


async def test_a_run_is_read_in_order_with_every_events_place(publish, prefix, read):
    await publish.publish(
        envelope(OTHER, 0, [started()]),
        envelope(RUN, 0, [started()], points(("loss", 1, 5, 0.5), ("loss", 2, 6, math.inf))),
        envelope(RUN, 3, [types.RunEnded("FINISHED", 2000)]),
    )
    found = await read(run_id=RUN)
    assert [event.event for event in found] == [
        started(),
        Point(SeriesKey("loss"), 1, 5, 0.5),
        Point(SeriesKey("loss"), 2, 6, math.inf),
        types.RunEnded("FINISHED", 2000),
    ]
    assert [event.seq for event in found] == [0, 1, 2, 3]
    assert {(event.topic, event.partition, event.session, event.stream) for event in found} == {
        (f"{prefix}.events", identity.partition_of(RUN, PARTITIONS), SESSION, RUN)
    }
    assert [event.offset for event in found] == sorted(event.offset for event in found)


async def test_what_was_sent_again_is_given_once_and_what_fills_a_gap_is_given(publish, read):
    whole = pack(SESSION, RUN, 0, [types.Tag(f"k{n}", "v", n) for n in range(30)])
    parts = cut(whole, 0, 5), cut(whole, 0, 5), cut(whole, 3, 9), cut(whole, 20, 30), cut(whole, 7, 22), whole
    await publish.publish(*parts)
    found = await read(run_id=RUN)
    assert sorted(event.seq for event in found) == list(range(30))
    assert all(event.event.key == f"k{event.seq}" for event in found)


async def test_a_record_that_is_not_of_the_contract_is_given_as_it_is(publish, read):
    good = envelope(RUN, 3, [types.Tag("k", "v", 1)])
    await publish.records(
        [(RUN, b"{not json", encoding.headers(SESSION, RUN, 1, 2)), (RUN, encode(good), [])]
    )
    await publish.publish(good)
    broken, nowhere, tag = await read(run_id=RUN)
    assert isinstance(broken.event, Unreadable)
    assert "not JSON" in broken.event.reason
    assert (broken.seq, broken.event.value) == (1, b"{not json")
    assert isinstance(nowhere.event, Unreadable)
    assert nowhere.seq == -1
    assert (tag.seq, tag.event) == (3, types.Tag("k", "v", 1))


async def test_all_streams_are_read_where_none_is_named(publish, read):
    await publish.publish(
        envelope(CATALOG, 0, [types.ExperimentCreated("digits", 5)], session="ca" * 16),
        envelope(RUN, 0, [started()]),
        envelope(OTHER, 0, [started()]),
    )
    found = await read()
    assert {event.stream for event in found} == {CATALOG, RUN, OTHER}
    assert len(found) == 4  # the installation's record is the fourth


async def test_an_experiments_events_are_those_of_its_runs_even_what_came_before_their_start(publish, read):
    rank = "77" * 16
    await publish.publish(
        envelope(CATALOG, 0, [types.ExperimentCreated("letters", 5), types.ExperimentCreated("digits", 5)]),
        envelope(RUN, 0, [types.RunJoined(900)], session=rank),
        envelope(OTHER, 0, [types.RunJoined(900)], session=rank),
        envelope(OTHER, 0, [started("letters")]),
        envelope(RUN, 0, [started()]),
        envelope(RUN, 1, [types.Tag("k", "v", 1)], session=rank),
        envelope(CATALOG, 2, [types.ExperimentRenamed(DIGITS, "numbers", 6)]),
    )
    for asked in ("numbers", DIGITS):
        found = await read(experiment=asked)
        assert [(event.stream, event.session, event.seq) for event in found] == [
            (RUN, rank, 0),
            (RUN, SESSION, 0),
            (RUN, rank, 1),
        ]
    with pytest.raises(NoSuchExperimentError, match="digits"):
        await read(experiment="digits")


async def test_a_reader_goes_on_where_it_was_left(publish, read, kafka, prefix):
    tags = [types.Tag(f"k{n}", "v", n) for n in range(6)]
    await publish.publish(*(envelope(RUN, 2 * n, tags[2 * n : 2 * n + 2]) for n in range(3)))
    async with runstone.read_events(kafka, run_id=RUN, topic_prefix=prefix) as events:
        positions = {}
        async for event in events:
            positions[event.seq] = events.position
    for seq, first in ((0, 0), (1, 2), (2, 2), (3, 4)):  # within a record, all of it is given again
        again = await read(run_id=RUN, position=positions[seq])
        assert [event.seq for event in again] == list(range(first, 6))
    assert await read(run_id=RUN, position=positions[5]) == []


async def test_since_and_until_are_the_brokers_time(publish, read):
    await publish.publish(envelope(RUN, 0, [types.Tag("a", "v", 1)]))
    (first,) = await read(run_id=RUN)
    while time.time() * 1000 < first.time + 1:
        pass  # the broker's clock, which is this machine's, has milliseconds
    await publish.publish(envelope(RUN, 1, [types.Tag("b", "v", 1)]))
    second = (await read(run_id=RUN))[1]
    assert await read(run_id=RUN, since=second.time) == [second]
    assert await read(run_id=RUN, until=second.time) == [first]
    assert await read(run_id=RUN, since=second.time + 1) == []
    assert await read(run_id=RUN, since="1h") == [first, second]


async def test_whoever_follows_gets_what_comes_later(publish, kafka, prefix):
    async with runstone.read_events(kafka, run_id=RUN, topic_prefix=prefix, follow=True) as events:
        async with asyncio.timeout(10):
            for n in range(3):
                await publish.publish(envelope(RUN, n, [types.Tag(f"k{n}", "v", n)]))
                assert (await anext(events)).seq == n


async def test_following_ends_at_until(publish, read):
    await publish.publish(envelope(RUN, 0, [types.Tag("a", "v", 1)]))
    async with asyncio.timeout(10):
        found = await read(run_id=RUN, follow=True, until=int(time.time() * 1000) + 500)
    assert [event.seq for event in found] == [0]


async def test_what_cannot_be_asked_is_refused_at_once(kafka, prefix):
    for asked in (
        {"run_id": RUN, "experiment": "digits"},
        {"since": 5, "position": "0=1"},
        {"since": "yesterday"},
        {"position": "0=x"},
        {"run_id": ""},
    ):
        with pytest.raises(InvalidInputError):
            runstone.read_events(kafka, topic_prefix=prefix, **asked)


async def test_topics_that_are_not_there_and_brokers_that_do_not_answer_are_told(kafka, prefix):
    with pytest.raises(ServerError, match="not there"):
        await anext(runstone.read_events(kafka, topic_prefix=prefix))
    with pytest.raises(ServerError, match=r"127\.0\.0\.1:1"):
        await anext(runstone.read_events("127.0.0.1:1"))
