"""How far apart rounds are: each one costs, however little it carries.

A round is a batch for the broker, a fetch and a transaction for the worker: some milliseconds of processors
that may be the training's own. What comes after a pause is sent at once; as long as more keeps coming, rounds
are so far apart that each carries `ROUND_BYTES`, but never farther than `MOST`. So a loop that logs ten
metrics a hundred times a second pays for ten rounds a second and not for a hundred, where many series are
logged an envelope holds more than a point of each, and a backlog does not wait at all.
"""

from typing import Final

from runstone.events.limits import KIB

ROUND_BYTES: Final = 192 * KIB
MOST: Final = 0.1
"""Seconds from the beginning of a round to that of the next one."""

LEAST: Final = 0.005
"""The same where a round has found nothing: what is not finished yet may look like something."""

GATHER: Final = 0.002
"""Seconds between waking up and looking: the metrics of one step are logged one after another."""


def apart(size: int, since: float) -> float:
    """Seconds from the beginning of a round to that of the next.

    Args:
        size: bytes that the round has read.
        since: seconds between its beginning and that of the one before; these bytes came meanwhile.
    """
    return min(MOST, ROUND_BYTES * min(since, MOST) / size) if size else LEAST
