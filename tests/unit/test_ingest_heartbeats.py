"""What heartbeats say, and when silence means something."""

import pytest

from runstone.exceptions import InvalidInputError
from runstone_ingest.heartbeats import BREAK, Feed, latest
from runstone_store.configuration import session_lost_after

A, B = "aa" * 16, "bb" * 16


def test_each_session_was_heard_when_it_was_named_last_whatever_else_a_record_holds():
    records = [
        (b'{"sessions": ["%s", "%s"]}' % (B.encode(), A.encode()), 10),
        (b'{"sessions": ["%s"], "more": 1}' % A.encode(), 30),
        (b'{"sessions": ["%s"]}' % A.encode(), 20),
        (b'{"sessions": ["no id", null, 7, "\\u0000"]}', 25),
        (b'{"sessions": "none"}', 25),
        (b"[]", 25),
        (b"\xff", 25),
        (None, 40),
    ]
    assert list(latest(records).items()) == [("", 40), (A, 30), (B, 10)]


def test_silence_means_something_after_heartbeats_came_for_a_while_without_a_break():
    feed = Feed()
    assert not feed.settled(1e6, 0)
    for now in range(1000, 1181, 60):
        feed.came(now)
    assert feed.settled(1180, 180)
    assert not feed.settled(1179.9, 180)
    assert feed.settled(1180 + BREAK, 180)
    assert not feed.settled(1181 + BREAK, 180)
    feed.came(1182 + BREAK)
    assert not feed.settled(1190 + BREAK, 180)


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 86400), ("3s", 3), ("90m", 5400), ("7D", 604800), (" never ", None)]
)
def test_how_long_a_session_may_be_silent_is_a_duration_or_never(text, seconds):
    assert session_lost_after({"RUNSTONE_SESSION_LOST_AFTER": text}) == seconds


@pytest.mark.parametrize("text", ["24", "0h", "-1h", "1.5h", "soon"])
def test_anything_else_is_refused_by_name(text):
    with pytest.raises(InvalidInputError, match="RUNSTONE_SESSION_LOST_AFTER"):
        session_lost_after({"RUNSTONE_SESSION_LOST_AFTER": text})
