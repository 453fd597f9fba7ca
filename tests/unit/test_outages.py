"""When clients are told to come again while something is away."""

import pytest

import runstone_gateway.outage
import runstone_query.outage

RETRIES = 7
"""Of MLflow's client, which waits before each for as long as it was told."""


@pytest.mark.parametrize("module", [runstone_gateway.outage, runstone_query.outage])
def test_a_clients_retries_reach_over_minutes_and_find_a_short_outage_over_soon(module):
    now = 0.0
    outage = module.Outage(lambda: now)
    asked_at = []
    for _ in range(RETRIES):
        now += outage.goes_on()
        asked_at.append(now)
    assert asked_at[-1] > 150
    for away in (1, 5, 20, 60):
        assert min(at for at in asked_at if at >= away) <= 3 * away
    outage.over()
    assert outage.goes_on() == 1


@pytest.mark.parametrize("module", [runstone_gateway.outage, runstone_query.outage])
def test_retries_reach_as_far_where_the_first_was_kept_waiting_for_ten_seconds(module):
    now = 10.0
    for _ in range(RETRIES):
        now += module.patience(now, waited=True)
    assert now > 150
