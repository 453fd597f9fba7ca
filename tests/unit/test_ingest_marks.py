"""Marks know exactly which seqs have been applied, whatever came in whatever order."""

from hypothesis import given
from hypothesis import strategies as st

from runstone_ingest.marks import Mark

ranges = st.tuples(st.integers(0, 40), st.integers(1, 12)).map(lambda r: (r[0], r[0] + r[1]))
steps = st.lists(st.tuples(st.sampled_from(["claim", "leave out"]), ranges), max_size=30)


@given(steps)
def test_a_mark_agrees_with_the_set_of_applied_seqs(steps: list[tuple[str, tuple[int, int]]]):
    mark, applied, high = Mark(), set(), -1
    for what, (low, end) in steps:
        if what == "claim":
            new = mark.claim(low, end)
            seqs = [seq for a, b in new for seq in range(a, b)]
            assert seqs == sorted(set(range(low, end)) - applied)
            applied.update(range(low, end))
        else:
            mark.leave_out(end)
        high = max(high, end - 1)
        assert mark.high_seq == high
        assert [seq for a, b in mark.missing for seq in range(a, b)] == sorted(set(range(high + 1)) - applied)
        assert all(a < b for a, b in mark.missing)
        assert all(b < c for (_, b), (c, _) in zip(mark.missing, mark.missing[1:], strict=False))


def test_what_fills_a_gap_is_applied_and_the_rest_stays_missing():
    mark = Mark()
    assert mark.claim(0, 3) == [(0, 3)]
    assert mark.claim(10, 12) == [(10, 12)]
    assert mark.missing == ((3, 10),)
    assert mark.claim(2, 5) == [(3, 5)]
    assert mark.claim(7, 20) == [(7, 10), (12, 20)]
    assert mark.missing == ((5, 7),)
    assert mark.claim(0, 20) == [(5, 7)]
    assert mark.claim(0, 20) == []


def test_a_copy_changes_apart_from_its_original():
    mark = Mark()
    mark.claim(5, 6)
    copied = mark.copy()
    copied.claim(0, 5)
    copied.declared.append({"kind": "dropped"})
    assert mark.missing == ((0, 5),)
    assert mark.declared == []
