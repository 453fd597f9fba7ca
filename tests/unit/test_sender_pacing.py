"""Rounds of the sender are as far apart as what comes allows."""

from hypothesis import given
from hypothesis import strategies as st

from runstone.sender.pacing import MOST, ROUND_BYTES, apart


def test_a_slow_loop_pays_for_ten_rounds_a_second() -> None:
    assert apart(480, 0.01) == MOST


def test_a_backlog_does_not_wait() -> None:
    assert apart(5 * ROUND_BYTES, 0.01) == 0.01 / 5


def test_after_a_pause_the_next_round_is_not_put_off_for_longer_than_any_other() -> None:
    assert apart(48, 3600.0) == MOST


@given(st.floats(1e3, 1e8), st.integers(1, 30))
def test_at_a_steady_rate_rounds_settle_at_their_size_or_a_bound(rate: float, rounds: int) -> None:
    gap = MOST
    for _ in range(rounds):
        gap = apart(max(1, int(rate * gap)), gap)
        assert 0 < gap <= MOST
    if ROUND_BYTES / rate < MOST / 1.1:
        assert abs(gap * rate / ROUND_BYTES - 1) < 0.05
