"""The order in which records of several sessions reach a run they share. Pure.

Guaranteed: of what lay in the spool when a round of reading began, at most a slab of each session, the
*events* of one run (params, tags, its start and end) go out in the order of CLOCK_MONOTONIC, whichever
processes of this boot logged them; within a session always in the order of its seqs. What is read in a later
round goes out later, so a session with a backlog of more than a slab may fall behind another one.
Points are not put in order: a run's points are a multiset that is sorted when reading.
"""

from heapq import merge
from itertools import accumulate
from typing import TypeVar

from runstone.spool.reader import EventRecord, Record

T = TypeVar("T")


def interleave(parts: list[tuple[T, list[Record]]]) -> list[tuple[T, list[Record]]]:
    """Cut what several sessions say in one stream so that one behind the other is the order of the clock.

    Args:
        parts: for each session (anything that stands for it) its records in one stream, ascending by seq.

    Returns:
        The same records as pieces; those of a session stay in order.
    """
    if len(parts) < 2:
        return parts
    moments = (_moments(which, records) for which, (_owner, records) in enumerate(parts))
    pieces: list[tuple[T, list[Record]]] = []
    taken = [0] * len(parts)
    last = -1
    for _moment, which, at in merge(*moments):
        owner, records = parts[which]
        piece = records[taken[which] : at + 1]
        taken[which] = at + 1
        if which == last:
            pieces[-1][1].extend(piece)
        else:
            pieces.append((owner, piece))
        last = which
    for which, (owner, records) in enumerate(parts):
        if rest := records[taken[which] :]:
            if which == last:
                pieces[-1][1].extend(rest)
            else:
                pieces.append((owner, rest))
            last = which
    return pieces


def _moments(which: int, records: list[Record]) -> list[tuple[int, int, int]]:
    """When each event happened, which session's, and where it lies; never running backwards in a session."""
    found = [(record.mono, at) for at, record in enumerate(records) if isinstance(record, EventRecord)]
    monos = accumulate((mono for mono, _at in found), max)
    return [(mono, which, at) for mono, (_mono, at) in zip(monos, found, strict=True)]
