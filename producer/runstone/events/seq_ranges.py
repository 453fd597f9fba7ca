"""Which seqs of a session have come: the highest, and the ranges below it that have not. Pure.

A range is half-open, ``(low, end)``; the missing ones are ascending, apart from one another and never empty.
It is part of the contract because everybody who reads the topics must take each record once: what comes again
is left out, however it is packed, and what fills a gap is taken.
"""

from collections.abc import Iterable

Range = tuple[int, int]
Ranges = tuple[Range, ...]


def claim(high_seq: int, missing: Ranges, low: int, end: int) -> tuple[list[Range], int, Ranges]:
    """Take the seqs ``low … end - 1``: which of them are new, ascending, and what holds from now on.

    What was seen already is left out, what fills a missing range shrinks it, and what lies between the
    highest seq and *low* becomes missing.
    """
    new: list[Range] = []
    if missing and low <= high_seq:
        still: list[Range] = []
        for a, b in missing:
            x, y = max(a, low), min(b, end)
            if x >= y:
                still.append((a, b))
                continue
            new.append((x, y))
            still += [part for part in ((a, x), (y, b)) if part[0] < part[1]]
        missing = tuple(still)
    start = max(low, high_seq + 1)
    if start < end:
        missing = with_missing(high_seq, missing, start)
        new.append((start, end))
        high_seq = end - 1
    return new, high_seq, missing


def with_missing(high_seq: int, missing: Ranges, end: int) -> Ranges:
    """*missing* and the seqs between the highest one and *end*."""
    start = high_seq + 1
    if start >= end:
        return missing
    if missing and missing[-1][1] == start:
        return (*missing[:-1], (missing[-1][0], end))
    return (*missing, (start, end))


def without(ranges: Iterable[Range], taken: Iterable[Range]) -> list[Range]:
    """What is left of *ranges* where *taken* is cut out of them."""
    left = list(ranges)
    for low, end in taken:
        left = [
            piece for a, b in left for piece in ((a, min(b, low)), (max(a, end), b)) if piece[0] < piece[1]
        ]
    return left
