"""What a replay tells of its progress is true of what was observed."""

import math

import pytest
from aiokafka import TopicPartition

from runstone.exceptions import InvalidInputError
from runstone_ingest.replay_offsets import as_json, named_ends, time_ms
from runstone_ingest.replay_progress import WINDOW, Progress, Watch

EVENTS, CATALOG = "t.events", "t.catalog"
ENDS = {TopicPartition(EVENTS, 0): 10, TopicPartition(EVENTS, 1): 20, TopicPartition(CATALOG, 0): 5}


def test_nothing_is_foretold_in_the_first_moments():
    watch = Watch()
    assert watch.observe(100.0, 0, 1000).seconds is None
    assert watch.observe(101.0, 500, 1000).seconds is None
    assert "not known yet" in watch.observe(101.5, 500, 1000).line()


def test_the_time_left_counts_what_comes_meanwhile():
    watch = Watch()
    watch.observe(0.0, 0, 1000)
    progress = watch.observe(10.0, 200, 1100)  # 20/s done, 10/s come: 10/s gained
    assert progress.left == 900
    assert progress.seconds == 90.0
    assert "1 min 30 s" in progress.line()
    assert "grow by 10/s" in progress.line()


def test_a_replay_that_the_topics_outrun_never_catches_up_and_says_so():
    watch = Watch()
    watch.observe(0.0, 0, 1000)
    progress = watch.observe(10.0, 100, 1200)
    assert progress.seconds == math.inf
    assert "does not catch up" in progress.line()


def test_only_the_last_while_counts():
    watch = Watch()
    for second in range(101):
        watch.observe(float(second), 1000 * second, 1_000_000)
    for second in range(101, 101 + int(WINDOW)):
        progress = watch.observe(float(second), 100_000 + 10 * (second - 100), 1_000_000)
    assert progress.speed == pytest.approx(10.0)


def test_what_is_done_is_done():
    assert Progress(0, 0).seconds == 0.0
    assert Progress(7, 7).seconds == 0.0
    assert "100.0%" in Progress(0, 0).line()


def test_an_end_by_offsets_leaves_the_others_where_they_are():
    found = named_ends("1:7,catalog:2", ENDS, EVENTS)
    assert as_json(found) == {EVENTS: {"0": 10, "1": 7}, CATALOG: {"0": 2}}


@pytest.mark.parametrize("text", ["", "1", "2:5", "1:x", "1:-1", "1:21", "catalog:6", "1:٣", "1:7,,"])
def test_an_end_that_is_none_is_refused(text: str):
    with pytest.raises(InvalidInputError, match="--until-offset"):
        named_ends(text, ENDS, EVENTS)


def test_times_are_iso_or_milliseconds_and_past():
    now = 1_800_000_000_000
    assert time_ms("1700000000000", now) == 1_700_000_000_000
    assert time_ms("2026-11-24T00:00:00", now) == time_ms("2026-11-24T01:00:00+01:00", now)
    for wrong in ("yesterday", "", "1800000000001", "2099-01-01", "17"):
        with pytest.raises(InvalidInputError, match="--until-time"):
            time_ms(wrong, now)
