"""How often a fault is repeated: a few times in every run of the tests, in full by ``make soak-…``."""

import os

import pytest

SOAK = os.environ.get("RUNSTONE_SOAK") == "1"


def times(usually: int, in_full: int) -> int:
    """How many repetitions this run of the tests asks for."""
    return in_full if SOAK else usually


def parts(in_full: int) -> pytest.MarkDecorator:
    """In full a test is so many tests with some minutes of work each; ``-k part-3`` chooses."""
    return pytest.mark.parametrize(
        "part", [pytest.param(part, id=f"part-{part + 1}") for part in range(times(1, in_full))]
    )
