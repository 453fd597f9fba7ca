"""When the breaker trips, when the watchdog bites, and which record a holding remembers as its witness."""

import asyncio

from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from runstone_ingest import fetch_wait, poison
from runstone_ingest.batching import Gathered
from runstone_ingest.breaker import ROW, RUSH, SECONDS, Breaker
from runstone_ingest.ownership import Holding
from runstone_ingest.records import Admitted, DeadLetter, Record
from runstone_ingest.watchdog import STUCK_SECONDS, Standing, Watchdog
from tests.publishing import envelope

TP = TopicPartition("t", 0)


def held(**more: object) -> Holding:
    return Holding("t", 0, 1, 0, 0, None, proving=False, **more)


def gathered(holding: Holding, offset: int, good: bool) -> Gathered:
    record = Record("t", 0, offset, b"k", b"{", [])
    item = Admitted(record, envelope("k", offset, [])) if good else DeadLetter(record, "bad", None, False)
    return Gathered(holding, item)


def test_the_breaker_trips_behind_so_many_in_a_row_and_forgives_at_a_good_one() -> None:
    breaker = Breaker()
    for _ in range(2):
        assert not any(breaker.bad(0.0) for _ in range(ROW))
        breaker.good()
    assert [breaker.bad(0.0) for _ in range(ROW + 1)][-2:] == [False, True]


def test_the_breaker_trips_when_for_seconds_everything_that_rushes_in_is_bad() -> None:
    breaker = Breaker()
    times = [n * SECONDS / RUSH / 0.99 for n in range(RUSH + 2)]
    assert [breaker.bad(at) for at in times].index(True) == RUSH
    slow = Breaker()  # one client that is broken, on an installation where nothing else happens
    assert not any(slow.bad(n * (SECONDS + 1)) for n in range(ROW))


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 5), st.integers(0, 60), st.data())
def test_what_is_cut_does_not_depend_on_how_records_are_batched(goods, row, accepted, data) -> None:
    from runstone_ingest import breaker

    whole, size = breaker.ROW, 0
    breaker.ROW = row
    try:
        holding = held(dead_accepted_until=accepted)
        expected, run = len(goods), 0
        for n, good in enumerate(goods):
            run = 0 if good else run + (n >= accepted)
            if run > row:
                expected = n
                break
        batch = [gathered(holding, n, good) for n, good in enumerate(goods)]
        while size < len(batch):
            more = data.draw(st.integers(1, len(batch)))
            kept, tripped = poison.cut(batch[size : size + more], 0.0)
            assert poison.note(kept, 0.0) == {}
            size += len(kept)
            if tripped:
                break
        assert size == expected
    finally:
        breaker.ROW = whole


def test_the_watchdog_bites_only_where_something_waits_and_nothing_moves() -> None:
    for standing, stuck in (
        (Standing(1, 5, 5, 9, resting=False), True),
        (Standing(1, 5, 5, 5, resting=False), False),
        (Standing(1, 5, 5, 9, resting=True), False),
        (Standing(1, 9, 5, 9, resting=True), True),
    ):
        dog = Watchdog()
        assert dog.look({TP: standing}, 0.0) == ""
        assert dog.look({TP: standing}, STUCK_SECONDS - 1) == ""
        assert bool(dog.look({TP: standing}, STUCK_SECONDS)) is stuck
        dog.forget()
        assert dog.look({TP: standing}, STUCK_SECONDS + 1) == ""
    dog = Watchdog()
    for n in range(10):
        assert dog.look({TP: Standing(1, n, n, 99, resting=False)}, n * STUCK_SECONDS) == ""


async def test_the_witness_is_the_record_before_the_longest_pause() -> None:
    holding = held()
    holding.advance(3, b"two")
    assert holding.witness is None
    holding.advance(5, b"four")
    await asyncio.sleep(0.03)  # the pause in question
    holding.advance(7, b"six")
    holding.advance(8, b"seven")
    assert holding.witness == (4, b"four")
    holding.seen()
    assert holding.witness is None
    holding.advance(9, b"eight")
    assert holding.witness == (7, b"seven")


async def test_a_fetch_waits_long_unless_it_leaves_something_out(monkeypatch) -> None:
    from aiokafka import AIOKafkaConsumer
    from aiokafka.consumer.fetcher import Fetcher

    consumer = AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1")
    monkeypatch.setattr(
        Fetcher, "_get_actions_per_node", lambda self, _: ([], {}, self._fetch_max_wait_ms, False, [])
    )
    consumer.assign([TP])
    consumer._fetcher = Fetcher(consumer._client, consumer._subscription)
    try:
        fetch_wait.adapt(consumer)

        def ask(assignment):
            return consumer._fetcher._get_actions_per_node(assignment)[2]

        assignment = consumer._subscription.subscription.assignment
        assert ask(assignment) == fetch_wait.LONG_MS
        consumer._fetcher._records[TP] = object()
        assert ask(assignment) == fetch_wait.SHORT_MS
        consumer._fetcher._records.clear()
        assert ask(assignment) == fetch_wait.LONG_MS
        consumer.pause(TP)
        consumer._fetcher._records[TP] = object()  # nobody will take it while it is paused
        assert ask(assignment) == fetch_wait.LONG_MS
    finally:
        await consumer._fetcher.close()
        consumer._fetcher = None
        await consumer.stop()
