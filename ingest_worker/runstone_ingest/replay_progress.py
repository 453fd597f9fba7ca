"""How far a replay is and when it will have caught up, told honestly. Pure.

Offsets are what is counted. While a replay goes on, the topics grow, so the time that is left follows from
how much faster it is than they are; where it is not faster, there is no such time, and that is said.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

WINDOW: Final = 30.0
"""Seconds whose speed counts: records differ in size, so an average over hours would mislead."""

SURE_AFTER: Final = 2.0
"""Seconds before which nothing is foretold."""

_BAR: Final = 24


@dataclass(frozen=True, slots=True)
class Progress:
    """Attributes:
    applied, whole: offsets. speed: applied a second; growth: by which the topics grow; None while unknown.
    """

    applied: int
    whole: int
    speed: float | None = None
    growth: float | None = None

    @property
    def left(self) -> int:
        """What has not been applied."""
        return max(0, self.whole - self.applied)

    @property
    def seconds(self) -> float | None:
        """Until it has caught up; infinite where it never will at this speed; None while that is unknown."""
        if not self.left:
            return 0.0
        if self.speed is None or self.growth is None:
            return None
        gain = self.speed - self.growth
        return self.left / gain if gain > 0 else float("inf")

    def line(self) -> str:
        """One line for a person."""
        share = self.applied / self.whole if self.whole else 1.0
        bar = ("#" * int(share * _BAR)).ljust(_BAR, ".")
        text = f"[{bar}] {share:6.1%}  {self.applied:,} of {self.whole:,} records"
        if self.speed is None:
            return f"{text}  time left: not known yet"
        text = f"{text}  {self.speed:,.0f}/s"
        if self.growth:
            text = f"{text} (the topics grow by {self.growth:,.0f}/s)"
        return f"{text}  time left: {_duration(self.seconds)}"


class Watch:
    """Follows one replay."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int, int]] = deque()

    def observe(self, now: float, applied: int, whole: int) -> Progress:
        """What there is to tell at *now* (s, of a steady clock), when *applied* of *whole* are done."""
        self._seen.append((now, applied, whole))
        while len(self._seen) > 2 and self._seen[1][0] <= now - WINDOW:
            self._seen.popleft()
        began, applied_then, whole_then = self._seen[0]
        if now - began < SURE_AFTER:
            return Progress(applied, whole)
        took = now - began
        return Progress(applied, whole, (applied - applied_then) / took, (whole - whole_then) / took)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "not known yet"
    if seconds == float("inf"):
        return "it does not catch up at this speed"
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
