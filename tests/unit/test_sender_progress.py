"""What the sender remembers of a session: which seqs damage took, who ended what."""

import orjson

from runstone.events.encoding import event_to_json
from runstone.events.types import RunEnded, RunStarted
from runstone.sender.liveness import outcome
from runstone.sender.progress import Lost, Progress, StreamProgress
from runstone.spool.reader import Damage, EventRecord

A, B = "a" * 32, "b" * 32


def record(stream, seq, event=None):
    return EventRecord(stream, seq, 0, 0, orjson.dumps(event_to_json(event)) if event else b"{}")


def test_a_gap_behind_damage_is_lost():
    progress = Progress()
    assert progress.note([record(A, 0), record(B, 0), Damage(8), record(A, 5), record(A, 9)]) == [
        Lost(A, 1, 4)
    ]
    assert progress.note([record(B, 3)]) == [Lost(B, 1, 2)]
    assert progress.damaged


def test_a_gap_without_damage_was_dropped_by_the_client_who_says_so():
    progress = Progress()
    assert progress.note([record(A, 0), record(A, 7)]) == []
    assert not progress.damaged


def test_a_stream_that_begins_behind_damage_has_lost_what_came_before():
    assert Progress().note([Damage(8), record(A, 4)]) == [Lost(A, 0, 4)]


def test_what_was_read_twice_changes_nothing():
    progress = Progress()
    progress.note([record(A, seq) for seq in range(10)])
    assert progress.note([Damage(0), record(A, 3)]) == []
    assert progress.streams[A].next_seq == 10


def test_the_next_sender_knows_the_same():
    progress = Progress()
    progress.note([record(A, 0, RunStarted(0, "Default", "x", 1)), record(A, 1, RunEnded("FAILED", 2))])
    again = Progress.from_json(orjson.loads(orjson.dumps(progress.to_json())))
    assert again.streams == {A: StreamProgress(2, owned=True, status="FAILED")}
    again.note([record(A, 2, RunStarted(0, "Default", "x", 3))])
    assert again.streams[A].status is None


def test_the_end_of_a_session_says_what_becomes_of_its_run():
    assert outcome(StreamProgress(1, owned=True), 15)[0] == "KILLED"
    assert "SIGTERM" in outcome(StreamProgress(1, owned=True), 15)[1]
    assert outcome(StreamProgress(1, owned=True), 0) == ("FAILED", "the process ended without ending the run")
    assert outcome(StreamProgress(1, owned=True, status="FINISHED"), 15)[0] == "FINISHED"
