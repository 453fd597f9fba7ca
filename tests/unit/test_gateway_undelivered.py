"""Retries join the write whose answer was lost, and nothing else does."""

import gc
import weakref

from runstone_gateway.undelivered import ATTEMPT_COST, REMEMBERED_FOR, REMEMBERED_MOST, Undelivered


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def conclusion():
    return {}


def begin(undelivered, body=b"{}", gone=False):
    return undelivered.begin("POST", "/runs/create", body, lambda: gone)


def test_a_retry_of_an_answer_that_was_lost_joins_its_write():
    undelivered = Undelivered(Clock())
    first = begin(undelivered)
    first.conclusion = conclusion
    undelivered.end(first, first.abandoned, delivered=False)
    assert begin(undelivered) is first


def test_equal_requests_at_the_same_time_are_two_writes():
    undelivered = Undelivered(Clock())
    first = begin(undelivered)
    first.conclusion = conclusion
    assert begin(undelivered) is not first


def test_an_equal_request_after_an_answer_is_another_write():
    undelivered = Undelivered(Clock())
    first = begin(undelivered)
    first.conclusion = conclusion
    undelivered.end(first, first.abandoned, delivered=True)
    assert begin(undelivered) is not first


def test_a_request_whose_client_is_gone_is_joined_while_it_is_still_served():
    undelivered = Undelivered(Clock())
    first = begin(undelivered, gone=True)
    first.conclusion = conclusion
    second = begin(undelivered)
    assert second is first
    assert begin(undelivered) is not first  # one retry joins, its twin does not


def test_a_request_that_failed_before_it_wrote_anything_is_not_joined():
    undelivered = Undelivered(Clock())
    first = begin(undelivered)
    undelivered.end(first, first.abandoned, delivered=False)
    assert begin(undelivered) is not first


def test_another_body_is_another_request():
    undelivered = Undelivered(Clock())
    first = begin(undelivered)
    first.conclusion = conclusion
    undelivered.end(first, first.abandoned, delivered=False)
    assert begin(undelivered, b"{ }") is not first


def test_a_lost_answer_is_forgotten_after_a_time():
    clock = Clock()
    undelivered = Undelivered(clock)
    first = begin(undelivered)
    first.conclusion = conclusion
    undelivered.end(first, first.abandoned, delivered=False)
    clock.now = REMEMBERED_FOR + 1
    assert begin(undelivered) is not first


def test_a_request_whose_client_was_gone_leaves_its_attempt_to_the_retry_that_took_it_over():
    undelivered = Undelivered(Clock())
    first = begin(undelivered, gone=True)
    gone, first.conclusion = first.abandoned, conclusion
    assert begin(undelivered) is first
    undelivered.end(first, gone, delivered=False)
    assert begin(undelivered) is not first  # the retry is still being served
    undelivered.end(first, first.abandoned, delivered=False)
    assert begin(undelivered) is first


def test_a_request_that_may_write_yet_is_joined_when_its_client_is_gone():
    undelivered = Undelivered(Clock())
    assert begin(undelivered, gone=True) is begin(undelivered)


def test_an_answer_that_was_lost_again_is_remembered_from_then_on():
    clock = Clock()
    undelivered = Undelivered(clock)
    first = begin(undelivered)
    first.conclusion = conclusion
    undelivered.end(first, first.abandoned, delivered=False)
    clock.now = REMEMBERED_FOR - 1
    assert begin(undelivered) is first
    undelivered.end(first, first.abandoned, delivered=False)
    clock.now = REMEMBERED_FOR + 1
    assert begin(undelivered) is first


def lose(undelivered, body, keeps=0):
    attempt = begin(undelivered, body)
    attempt.conclusion = conclusion
    undelivered.end(attempt, attempt.abandoned, delivered=False, keeps=keeps)
    return attempt


def test_the_oldest_lost_answers_are_forgotten_when_all_together_are_too_large():
    undelivered = Undelivered(Clock())
    half = REMEMBERED_MOST // 2 - ATTEMPT_COST
    kept = [lose(undelivered, b"%d" % n, half) for n in range(3)][1:]
    assert [begin(undelivered, b"%d" % n) for n in range(1, 3)] == kept
    assert begin(undelivered, b"0").conclusion is None


def test_a_lost_answer_that_was_asked_for_again_makes_room():
    undelivered = Undelivered(Clock())
    for _ in range(5):
        first = lose(undelivered, b"0", REMEMBERED_MOST - ATTEMPT_COST)
        assert begin(undelivered, b"0") is first
        undelivered.end(first, first.abandoned, delivered=True)
    second = lose(undelivered, b"1", REMEMBERED_MOST - ATTEMPT_COST)
    assert begin(undelivered, b"1") is second


def test_what_is_remembered_does_not_keep_the_request():
    class Request:
        def gone(self):
            return True

    undelivered, request = Undelivered(Clock()), Request()
    kept = weakref.ref(request)
    abandoned = request.gone
    attempt = undelivered.begin("POST", "/", b"{}", abandoned)
    attempt.conclusion = conclusion
    undelivered.end(attempt, abandoned, delivered=False)
    del request, abandoned
    gc.collect()
    assert kept() is None
