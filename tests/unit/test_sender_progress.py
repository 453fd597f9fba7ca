"""What the sender remembers of a session: which seqs damage took, who ended what."""

import orjson
import pytest

from runstone.events.encoding import event_to_json
from runstone.events.types import RangeDeclared, RunEnded, RunJoined, RunStarted, SessionEnded
from runstone.sender.liveness import outcome
from runstone.sender.progress import Lost, Progress, StreamProgress
from runstone.spool.reader import Damage, EventRecord
from runstone.spool.refused import Refused

A, B = "a" * 32, "b" * 32


def record(stream, seq, event=None):
    return EventRecord(stream, seq, 0, 0, orjson.dumps(event_to_json(event)) if event else b"{}")


def test_a_gap_behind_damage_is_lost():
    progress = Progress()
    assert progress.note([record(A, 0), record(B, 0), Damage(8), record(A, 5)]) == [Lost(A, 1, 4)]
    assert progress.note([record(B, 3)]) == [Lost(B, 1, 2)]
    assert progress.damaged


def test_what_the_client_dropped_is_no_loss_because_it_says_so_in_the_first_record_behind_it():
    progress = Progress()
    said = RangeDeclared("0" * 32, 1, 6, "dropped", 1, "no room")
    assert progress.note([record(A, 0), record(A, 7, said), record(A, 8)]) == []
    assert not progress.damaged
    assert progress.note([record(A, 12, RangeDeclared("0" * 32, 10, 2, "dropped", 1))]) == [Lost(A, 9, 1)]
    assert progress.note([record(A, 14)]) == [Lost(A, 13, 1)]
    assert progress.damaged


def test_what_was_acknowledged_before_is_not_lost_any_more():
    progress = Progress()
    progress.replay([record(A, 3), Damage(8), record(A, 9)])
    assert (progress.note([record(A, 10)]), progress.damaged) == ([], False)


def test_a_record_behind_the_writers_end_is_remembered_at_once():
    progress = Progress()
    progress.note_end(closed=True)
    assert Progress.from_json(progress.to_json({})).closed
    progress.changed = False
    progress.note_end(closed=False)
    assert (progress.changed, progress.closed) == (True, False)


def test_what_is_read_again_after_a_change_of_the_link_is_lost_again():
    progress = Progress()
    lost = [Lost(A, 1, 4)]
    assert progress.note([record(A, 0), record(A, 5)]) == lost
    progress.rewind({A: 1})
    assert progress.note([record(A, 5)]) == lost


def test_without_knowledge_of_what_came_before_a_stream_may_begin_anywhere():
    assert Progress(blind=True).note([record(A, 7), record(A, 9)]) == [Lost(A, 8, 1)]


def test_what_a_killed_process_refused_is_dropped_unless_it_was_declared():
    progress = Progress()
    progress.note([record(A, seq) for seq in range(10)])
    refused = [Refused(A, 5, 2), Refused(B, 0, 3), Refused("c" * 32, 2, 1)]
    found = [Lost(B, 0, 3, "dropped"), Lost("c" * 32, 0, 2), Lost("c" * 32, 2, 1, "dropped")]
    assert progress.note_refused(refused) == found
    assert progress.note_refused(refused) == found, "asked again when it could not be published"
    assert progress.note_refused([Refused(A, 10, 4)]) == [Lost(A, 10, 4, "dropped")]


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
    again = Progress.from_json(orjson.loads(orjson.dumps(progress.to_json({A: 2}))))
    assert again.streams == {A: StreamProgress(2, owned=True, status="FAILED")}
    again.note([record(A, 2, RunStarted(0, "Default", "x", 3))])
    assert again.streams[A].status is None


def test_whatever_the_disk_has_made_of_what_was_kept_it_is_right_or_known_to_be_damaged():
    progress = Progress(damaged=True, written_ms=5)
    progress.note([record(A, 0, RunStarted(0, "Default", "x", 1)), record(A, 1, RunEnded("FAILED", 2))])
    whole = orjson.dumps(progress.to_json({A: 2}))
    right = Progress.from_json(orjson.loads(whole))
    refused = 0
    for at in range(len(whole)):
        for bit in range(8):
            flipped = whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]
            try:
                found = orjson.loads(flipped)
            except orjson.JSONDecodeError:
                continue
            again = Progress.from_json(found)
            refused += again is None
            assert again is None or again == right
    assert refused > 100
    for found in ({}, {"streams": 5}, {"streams": {A: []}, "left": [], "damaged": False, "closed": False}):
        assert Progress.from_json(found) is None


def test_what_an_earlier_sender_kept_without_a_checksum_is_believed():
    progress = Progress()
    progress.note([record(A, 0), record(A, 1)])
    kept = progress.to_json({A: 2})
    del kept["crc"], kept["written_ms"]
    assert Progress.from_json(orjson.loads(orjson.dumps(kept))).streams == progress.streams


@pytest.mark.parametrize(
    "kind", ["run_started", "run_joined", "run_ended", "session_ended", "range_declared"]
)
@pytest.mark.parametrize(
    "rest", ["", "}", ',"first_seq":"4","count":1}', ',"status":"LAZY","first_seq":null}']
)
def test_a_malformed_event_with_a_right_checksum_tells_nothing_and_stops_nothing(kind, rest):
    progress = Progress()
    progress.note([record(A, 0)])
    nonsense = EventRecord(A, 5, 0, 0, f'{{"type":"{kind}"{rest}'.encode())
    assert progress.note([nonsense, record(A, 6)]) == [Lost(A, 1, 4)]
    assert (progress.streams[A].next_seq, progress.streams[A].status) == (7, None)


def test_the_end_of_a_session_says_what_becomes_of_its_run():
    assert outcome(StreamProgress(1, owned=True), 15)[0] == "KILLED"
    assert "SIGTERM" in outcome(StreamProgress(1, owned=True), 15)[1]
    assert outcome(StreamProgress(1, owned=True), 0) == ("FAILED", "the process ended without ending the run")
    assert outcome(StreamProgress(1, owned=True, status="FINISHED"), 15)[0] == "FINISHED"


def test_a_process_that_joined_has_left_when_it_says_so_and_until_it_joins_again():
    progress = Progress()
    left = SessionEnded("5" * 32, "FAILED", 1, "ValueError: no")
    progress.note(
        [record(A, 0, RunJoined(1)), record(A, 1, left), record(B, 0, RunStarted(0, "Default", "b", 1))]
    )
    progress.note([record(B, 1, left)])  # the owner's part is the run
    known = Progress.from_json(progress.to_json({})).streams
    assert (known[A].left, known[A].status, known[A].owned) == (True, "FAILED", False)
    assert (known[B].left, known[B].status, known[B].owned) == (False, None, True)
    progress.note([record(A, 2, RunJoined(2))])
    assert (progress.streams[A].left, progress.streams[A].status) == (False, None)
