"""The id of a new run follows from its request, where that was made just now."""

from contextlib import ExitStack

import pytest

from runstone_gateway.run_ids import RunIds

NOW = 1_764_000_000_000


def begin(run_ids, body=b"a", start_time=NOW, now=NOW):
    with run_ids.taken(body, start_time, now) as run_id:
        return run_id


def fail(run_ids):
    with pytest.raises(ConnectionError), run_ids.taken(b"a", NOW, NOW) as run_id:
        raise ConnectionError
    return run_id


def test_after_a_restart_the_same_request_gets_the_same_id():
    body = b'{"start_time": 1764000000000}'
    first = begin(RunIds("http://here:1"), body)
    assert begin(RunIds("http://here:1"), body, now=NOW + 60_000) == first
    assert len(first) == 32
    assert first[12] == "7"
    assert int(first[:12], 16) == NOW


def test_the_same_request_again_another_one_and_another_gateway_get_other_ids():
    here = RunIds("http://here:1")
    ids = {begin(here), begin(here), begin(here, b"b"), begin(RunIds("http://here:2"))}
    assert len(ids) == 4


def test_the_retry_of_a_request_that_began_no_run_is_found_again_after_a_restart():
    here = RunIds("http://here:1")
    assert fail(here) == begin(here) == begin(RunIds("http://here:1"))


def test_a_request_that_fails_while_an_equal_one_succeeds_leaves_its_number_to_its_retry():
    here = RunIds("http://here:1")
    with ExitStack() as slow:
        failed = slow.enter_context(here.taken(b"a", NOW, NOW))
        begun = begin(here)
        slow.pop_all().__exit__(ConnectionError, ConnectionError(), None)
    again = begin(here)
    restarted = RunIds("http://here:1")
    assert again == failed
    assert [begin(restarted), begin(restarted)] == [again, begun]


def test_a_request_without_a_start_time_of_its_own_never_finds_an_older_run():
    for start_time in (None, 0):
        made = [begin(RunIds("http://here:1"), start_time=start_time) for _ in range(2)]
        assert made[0] != made[1]
