"""When a part that died is started again."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from runstone_local.restarts import FIRST_DELAY, LONGEST_DELAY, STABLE_AFTER, Restarts


def test_deaths_in_a_row_are_answered_later_and_later_up_to_a_bound() -> None:
    restarts = Restarts()
    delays = [restarts.delay_after_death(lived=1) for _ in range(12)]
    assert delays[:4] == [FIRST_DELAY, 2 * FIRST_DELAY, 4 * FIRST_DELAY, 8 * FIRST_DELAY]
    assert all(earlier <= later for earlier, later in itertools.pairwise(delays))
    assert delays[-1] == LONGEST_DELAY


@given(st.lists(st.floats(0, 3600), max_size=50))
def test_a_part_that_lived_long_begins_anew_and_a_delay_is_never_out_of_bounds(lives: list[float]) -> None:
    restarts = Restarts()
    for lived in lives:
        delay = restarts.delay_after_death(lived)
        assert FIRST_DELAY <= delay <= LONGEST_DELAY
        if lived >= STABLE_AFTER:
            assert delay == FIRST_DELAY
