"""Sessions that have been silent for too long are given up, by one word in the ledger, and taken back."""

import asyncio
import json
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from runstone.events import decode, identity, types
from runstone_ingest import silence
from runstone_store.configuration import events_topic, liveness_topic
from tests.fix_worker import PARTITIONS, working
from tests.publishing import envelope

RUN, QUIET, FOREIGN, BEATING = "0a" * 16, "0b" * 16, "0c" * 16, "0d" * 16
OWNER, SLEEPER, GATEWAY, ALIVE = "aa" * 16, "bb" * 16, "cc" * 16, "dd" * 16
STARTED = types.RunStarted(7, "digits", "first", 1000)
LAST = "SELECT heard_at FROM runstone_meta.heard WHERE session = ''"
LOST = "SELECT status, status_reason FROM runs ORDER BY run_id"


@asynccontextmanager
async def heartbeats(kafka, prefix):
    """Publishes heartbeats as a gateway does."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()

    async def beat(*sessions):
        await producer.send_and_wait(liveness_topic(prefix), json.dumps({"sessions": sessions}).encode())

    try:
        yield beat
    finally:
        await producer.stop()


async def said_lost(kafka, prefix) -> list[str]:
    """The sessions that the ledger calls lost, in order per partition."""
    consumer = AIOKafkaConsumer(
        events_topic(prefix), bootstrap_servers=kafka, auto_offset_reset="earliest", group_id=None
    )
    await consumer.start()
    try:
        places = consumer.assignment()
        ends = await consumer.end_offsets(places)
        found = []
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                found += [e for r in records for e in decode(r.value).events]
    finally:
        await consumer.stop()
    return [event.session for event in found if isinstance(event, types.SessionLost)]


async def test_a_silent_session_is_given_up_once_and_taken_back_when_it_speaks(
    kafka, database, prefix, publish, db
):
    await publish.publish(
        envelope(RUN, 0, [STARTED], session=OWNER),
        envelope(QUIET, 0, [STARTED, types.RunEnded("FINISHED", 2000)], session=SLEEPER),
        envelope(FOREIGN, 0, [STARTED], session=GATEWAY),  # nobody ever said that it lives
        envelope(BEATING, 0, [STARTED], session=ALIVE),
    )
    running, finished, lost = ("RUNNING", None), ("FINISHED", None), ("FAILED", "session lost")
    async with (
        heartbeats(kafka, prefix) as beat,
        working(kafka, database, prefix, lost_after=1.5),
        working(kafka, database, prefix, lost_after=1.5),
    ):
        await beat(OWNER, SLEEPER, ALIVE)

        async def keep_beating():
            while True:
                await beat(ALIVE)
                await asyncio.sleep(0.3)

        beating = asyncio.create_task(keep_beating())
        try:
            await db.until(LOST, lambda rows: rows == [lost, finished, running, running])
            await publish.publish(envelope(RUN, 1, [types.Tag("a", "1", 1)], session=OWNER))
            await db.until(LOST, lambda rows: rows == [running, finished, running, running])
            await db.until(LOST, lambda rows: rows == [lost, finished, running, running])
            ((heard,),) = await db.rows(LAST)
            await db.until(LAST, lambda rows: rows[0][0] > heard + 2000)  # judged again, and nothing is said
            assert await said_lost(kafka, prefix) == [OWNER, OWNER]
            await beat(OWNER)  # the machine is back, and its training has nothing to log
            await db.until(LOST, lambda rows: rows == [running, finished, running, running])
        finally:
            beating.cancel()
        ended = await db.rows("SELECT ended FROM marks WHERE stream = $1 AND session <> $2", RUN, OWNER)
        assert ended == [("ended",)] * 3  # the worker's own sessions have said all they had to say


async def test_heartbeats_that_came_while_no_worker_ran_count_and_old_ones_do_not_come_again(
    kafka, database, prefix, publish, db
):
    async with heartbeats(kafka, prefix) as beat:
        await beat(OWNER)
        heard = "SELECT session, heard_at FROM runstone_meta.heard WHERE session <> '' ORDER BY session"
        async with working(kafka, database, prefix):
            ((_, first),) = await db.until(heard, bool)
        await beat(SLEEPER, OWNER)
        async with working(kafka, database, prefix):
            rows = await db.until(heard, lambda rows: len(rows) == 2)
            assert rows[0][1] == rows[1][1] > first


async def test_nobody_is_given_up_while_his_last_word_may_wait_to_be_applied(
    kafka, database, prefix, publish, rows, monkeypatch
):
    monkeypatch.setattr(silence, "APPLIED_WITHIN", 0.2)
    run, topic = "0a" * 16, events_topic(prefix)
    partition = identity.partition_of(run, PARTITIONS)
    await publish.publish(envelope(run, 0, [STARTED], session=OWNER))
    await rows.run(run_id=run, status="RUNNING", owner_session=OWNER, topic_partition=partition)
    await rows.insert("marks", stream=run, session=OWNER, high_seq=0, last_time=1)
    await rows.insert("runstone_meta.heard", session=OWNER, heard_at=1)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=None)
    await consumer.start()
    try:
        judge = silence.Judge(kafka, prefix, PARTITIONS, rows.connection, consumer)
        await judge.decide(60)
        assert await said_lost(kafka, prefix) == []
        await rows.insert("ingest_partitions", topic=topic, partition=partition, next_offset=1)
        with monkeypatch.context() as stopped:
            stopped.setattr(silence, "FRESH", -1.0)  # for longer than the answer is good for
            await judge.decide(60)
        assert await said_lost(kafka, prefix) == []
        await judge.decide(60)
        assert await said_lost(kafka, prefix) == [OWNER]
        await judge.decide(60)  # the word itself waits to be applied now
        assert await said_lost(kafka, prefix) == [OWNER]
    finally:
        await consumer.stop()
