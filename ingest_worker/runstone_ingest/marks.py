"""Marks: what of a session's records in a stream has been applied. Pure.

A mark is the highest seq seen and the ranges below it that have not come. A range here is half-open,
``(low, end)``; the missing ones are ascending, apart from one another and never empty.
"""

from dataclasses import dataclass, field, replace
from typing import Any

Range = tuple[int, int]


@dataclass(slots=True)
class Mark:
    """What is known of one session in one stream; the columns of table ``marks``."""

    high_seq: int = -1
    missing: tuple[Range, ...] = ()
    declared: list[dict[str, Any]] = field(default_factory=list)
    ended: str | None = None
    end_reason: str | None = None
    clean: bool | None = None
    last_time: int | None = None

    def copy(self) -> "Mark":
        """One that can be changed while this one stays what the database holds."""
        return replace(self, declared=list(self.declared))

    def claim(self, low: int, end: int) -> list[Range]:
        """Which of the seqs ``low … end - 1`` are new, ascending; from now on they count as applied.

        What was seen already is left out, what fills a missing range shrinks it, and what lies between the
        highest seq and *low* becomes missing.
        """
        new: list[Range] = []
        if self.missing and low <= self.high_seq:
            still: list[Range] = []
            for a, b in self.missing:
                x, y = max(a, low), min(b, end)
                if x >= y:
                    still.append((a, b))
                    continue
                new.append((x, y))
                still += [part for part in ((a, x), (y, b)) if part[0] < part[1]]
            self.missing = tuple(still)
        start = max(low, self.high_seq + 1)
        if start < end:
            self._note_missing(start)
            new.append((start, end))
            self.high_seq = end - 1
        return new

    def leave_out(self, end: int) -> None:
        """Count every seq below *end* that has not come as missing; those applied before stay applied."""
        if end - 1 > self.high_seq:
            self._note_missing(end)
            self.high_seq = end - 1

    def _note_missing(self, end: int) -> None:
        start = self.high_seq + 1
        if start >= end:
            return
        if self.missing and self.missing[-1][1] == start:
            self.missing = (*self.missing[:-1], (self.missing[-1][0], end))
        else:
            self.missing = (*self.missing, (start, end))
