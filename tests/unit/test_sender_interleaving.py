"""Records of several sessions in one run: by the clock across them, by seq within each."""

from hypothesis import given
from hypothesis import strategies as st

from runstone.sender.interleaving import interleave
from runstone.spool.reader import EventRecord, PointRun

RUN = "a" * 32


def event(seq, mono):
    return EventRecord(RUN, seq, 0, mono, b"{}")


@given(st.lists(st.lists(st.integers(0, 50), max_size=8).map(sorted), max_size=4))
def test_events_come_in_the_order_of_the_clock_and_none_is_lost(monos):
    parts = [(who, [event(seq, mono) for seq, mono in enumerate(part)]) for who, part in enumerate(monos)]
    out = [(who, record) for who, piece in interleave(parts) for record in piece]
    assert [r.mono for _who, r in out] == sorted(m for part in monos for m in part)
    for who, records in parts:
        assert [r for w, r in out if w == who] == records


@given(st.lists(st.lists(st.integers(0, 50), max_size=8), max_size=3))
def test_a_session_keeps_its_order_even_where_its_clock_runs_back(monos):
    parts = [(who, [event(seq, mono) for seq, mono in enumerate(part)]) for who, part in enumerate(monos)]
    out = [(who, record) for who, piece in interleave(parts) for record in piece]
    for who, records in parts:
        assert [r for w, r in out if w == who] == records


def test_points_stay_where_they_were_in_their_session():
    points = PointRun(RUN, 1, {}, [1], [0], [99], [0], [0.0])
    parts = [("a", [event(0, 1), points, event(2, 30)]), ("b", [event(0, 20)])]
    pieces = interleave(parts)
    assert [(who, [r.first_seq for r in piece]) for who, piece in pieces] == [
        ("a", [0]),
        ("b", [0]),
        ("a", [1, 2]),
    ]


@given(st.lists(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=6), max_size=4))
def test_whatever_sessions_mix_each_keeps_what_it_said_in_its_order(said):
    parts = [
        (
            who,
            [
                event(seq, mono) if is_event else PointRun(RUN, seq, {}, [1], [0], [mono], [0], [0.0])
                for seq, (is_event, mono) in enumerate(part)
            ],
        )
        for who, part in enumerate(said)
    ]
    out = [(who, record) for who, piece in interleave(parts) for record in piece]
    for who, records in parts:
        assert [r for w, r in out if w == who] == records
