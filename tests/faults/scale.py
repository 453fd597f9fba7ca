"""How often a fault is repeated: a few times in every run of the tests, in full by ``make soak-…``."""

import os

SOAK = os.environ.get("RUNSTONE_SOAK") == "1"


def times(usually: int, in_full: int) -> int:
    """How many repetitions this run of the tests asks for."""
    return in_full if SOAK else usually
