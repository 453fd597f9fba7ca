"""The checkers are checked: a worker with a bug is told from the plain model, from the journals and by verify."""

import asyncio
import signal

import pytest

from runstone.events import types
from tests.event_strategies import SESSIONS
from tests.faults.crew import crew, stopped
from tests.faults.installation import Installation, Journals, journals
from tests.faults.scale import times
from tests.faults.stage import Stage
from tests.fix_worker import PARTITIONS
from tests.publishing import asking
from tests.rows_in_memory import Point, pack

SEEN_AT_ONCE = (
    "trimming is skipped",
    "a rule reads another stream",
    "a chunk is lost in merging",
    "a chunk is lost",
    "a bad record is passed over",
)


@pytest.mark.parametrize("bug", SEEN_AT_ONCE[: times(3, 5)])
def test_a_worker_with_a_bug_is_told_from_the_plain_model_and_by_verify(kafka, postgres, bug):
    run, other, session = "0a" * 16, "0b" * 16, SESSIONS[0]
    records = [
        types.RunStarted(7, "digits", "first", 1),
        *(Point(types.SeriesKey(f"m{n % 2}"), n, n, float(n)) for n in range(20)),
    ]
    stage = Stage(kafka, postgres, bug).open()
    try:
        stage.run(stage.publish(pack(session, run, 0, records), pack(session, run, 5, records[5:12])))
        stage.run(stage.publish_bytes(b"{not json", session, run, 21, 2))
        stage.run(stage.publish(*(pack(session, r, 23, [types.Tag("of", r, 1)]) for r in (run, other))))
        if "merging" in bug:
            stage.run(stage.merged())
        assert stage.run(stage.differences([run, other]))
        assert stage.run(stage.verified())
    finally:
        stage.close()


async def caught(place: Installation, said: Journals) -> None:
    """What is wrong by now is found, by both."""
    await said.caught_up()
    with pytest.raises(AssertionError):
        await said.check()
    code, told = await place.command("verify")
    assert (code, "wrong: " in told) == (1, True), told


async def test_without_the_compare_and_set_a_zombie_is_caught(kafka, database, prefix, tmp_path):
    place = Installation(kafka, database, prefix, PARTITIONS)
    async with journals(place, points=8) as said, crew(place, tmp_path) as workers:
        zombie = await workers.start(
            "the compare-and-set is dropped", "before BEGIN", "2", "SIGSTOP", module="mutants"
        )
        async with asyncio.timeout(60):
            while not await stopped(zombie):
                await said.go_on()
                await asyncio.sleep(0.02)
        await workers.start()
        await said.check()
        async with asking(database) as db:
            points = "SELECT sum(points)::int FROM latest_metrics"
            before = await db.rows(points)
            zombie.send_signal(signal.SIGCONT)
            await db.until(points, lambda rows: rows != before)
        await workers.end(zombie)
        await caught(place, said)


async def test_a_worker_that_is_killed_between_the_offset_and_the_rows_is_caught(
    kafka, database, prefix, tmp_path
):
    place = Installation(kafka, database, prefix, PARTITIONS)
    async with journals(place, points=8) as said, crew(place, tmp_path) as workers:
        broken = await workers.start(
            "the offset is committed before the rows", "inside COPY", "2", "SIGKILL", module="mutants"
        )
        async with asyncio.timeout(60):
            while broken.returncode is None:
                await said.go_on()
                await asyncio.sleep(0.02)
        await workers.start()
        await caught(place, said)
