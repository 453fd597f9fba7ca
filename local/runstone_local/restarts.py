"""When a part that died is started again: at once-ish, then ever later, as long as it keeps dying.

Pure: times come in as arguments.
"""

from dataclasses import dataclass
from typing import Final

FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 30.0
STABLE_AFTER: Final = 60.0
"""Seconds: a part that lived this long had recovered, and its next death counts as the first."""


@dataclass(slots=True)
class Restarts:
    """The deaths of one part in a row."""

    deaths: int = 0

    def delay_after_death(self, lived: float) -> float:
        """Seconds to wait before the next start, after a life of *lived* seconds."""
        self.deaths = 1 if lived >= STABLE_AFTER else self.deaths + 1
        return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (self.deaths - 1))
