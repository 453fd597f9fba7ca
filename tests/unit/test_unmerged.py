"""Which runs are merged when."""

from array import array

from aiokafka import TopicPartition

from runstone.events.types import SeriesKey
from runstone_ingest.projector.points import Segment
from runstone_ingest.unmerged import BATCHES, FULL, QUIET_SECONDS, Unmerged

HOME, ELSEWHERE = TopicPartition("t", 0), TopicPartition("t", 1)


def segment(run_id: str, points: int, series: int = 1) -> Segment:
    zeros = array("q", bytes(8 * points))
    keys = [SeriesKey(f"k{n}") for n in range(series)]
    return Segment(run_id, 0, keys, zeros, zeros, zeros, array("d", bytes(8 * points)))


def wrote(waiting: Unmerged, now: float, *segments: Segment, home: TopicPartition = HOME) -> None:
    waiting.wrote(segments, lambda _run_id: home, now)


def test_a_run_is_due_when_each_of_its_series_has_enough_points() -> None:
    waiting = Unmerged()
    wrote(waiting, 1, segment("a", FULL, 2), segment("b", FULL - 1))
    assert waiting.take(1) is None
    wrote(waiting, 2, segment("a", FULL - 1, 2), segment("b", 1))
    assert (waiting.take(2), waiting.take(2)) == ("b", None)
    wrote(waiting, 3, segment("a", 1, 2))
    assert (waiting.take(3), waiting.take(3)) == ("a", None)
    assert waiting.written_at == 3


def test_a_run_is_due_when_it_has_many_small_chunks() -> None:
    waiting = Unmerged()
    for now in range(BATCHES - 1):
        wrote(waiting, now, segment("a", 1), segment("a", 1))
        assert waiting.take(now) is None
    wrote(waiting, BATCHES, segment("a", 1))
    assert waiting.take(BATCHES) == "a"


def test_a_run_is_due_when_nothing_more_has_come_for_a_while() -> None:
    waiting = Unmerged()
    wrote(waiting, 1, segment("a", 1))
    waiting.found("b", HOME, 2)
    wrote(waiting, 3, segment("a", 1))
    assert waiting.take(1 + QUIET_SECONDS) is None
    assert (waiting.take(2 + QUIET_SECONDS), waiting.take(2 + QUIET_SECONDS)) == ("b", None)
    assert (waiting.take(3 + QUIET_SECONDS), waiting.take(3 + QUIET_SECONDS)) == ("a", None)


def test_runs_of_partitions_that_were_lost_are_forgotten() -> None:
    waiting = Unmerged()
    wrote(waiting, 1, segment("a", 1), segment("b", FULL))
    wrote(waiting, 1, segment("c", 1), home=ELSEWHERE)
    waiting.keep([ELSEWHERE])
    assert (waiting.take(2 * QUIET_SECONDS), waiting.take(2 * QUIET_SECONDS)) == ("c", None)
