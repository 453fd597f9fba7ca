"""Marks: what of a session's records in a stream has been applied. Pure.

A mark is the highest seq seen and the ranges below it that have not come. A range here is half-open,
``(low, end)``; the missing ones are ascending, apart from one another and never empty.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from runstone.events import seq_ranges
from runstone.events.seq_ranges import Range


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
        new, self.high_seq, self.missing = seq_ranges.claim(self.high_seq, self.missing, low, end)
        return new

    def leave_out(self, end: int) -> None:
        """Count every seq below *end* that has not come as missing; those applied before stay applied."""
        if end - 1 > self.high_seq:
            self.missing = seq_ranges.with_missing(self.high_seq, self.missing, end)
            self.high_seq = end - 1
