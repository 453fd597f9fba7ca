"""The breaker: when records of a partition are bad one after the other, the fault is not theirs. Pure.

A publisher of a newer version, a broken one, or a worker that cannot read what it should would otherwise turn
a whole partition into dead letters. It trips at `ROW` bad records in a row, or when for `SECONDS` at least
`RUSH` came and all of them were bad. What trips it is not applied, so nothing has to be redriven.
"""

from typing import Final

ROW: Final = 1000
RUSH: Final = 100
SECONDS: Final = 5.0


class Breaker:
    """Counts the records of one partition in their order."""

    def __init__(self) -> None:
        self._row = 0
        self._rush = 0
        self._since = self._last = float("-inf")

    def good(self) -> None:
        """A record can be applied."""
        self._row = self._rush = 0
        self._since = self._last = float("-inf")

    def bad(self, now: float) -> bool:
        """A record cannot be applied, noticed at *now* (seconds); whether that is one too many."""
        if now - self._last > SECONDS:
            self._rush, self._since = 0, now
        self._last = now
        self._row += 1
        self._rush += 1
        return self._row > ROW or (self._rush > RUSH and now - self._since >= SECONDS)
