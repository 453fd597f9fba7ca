"""One Kafka record: consecutive records of one session in one stream.

``seq`` numbers what a session appended to a stream, densely from 0. An envelope holds the records
``first_seq … first_seq + n - 1``. Those of single metric calls travel as one table of columns, the others
as events with their index in the envelope; so a receiver that has the first half already trims by slicing,
and how records are packed may differ from one sending to the next.
"""

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from runstone.events.types import Event, SeriesKey

VERSION: Final = 1

CATALOG: Final = "catalog"
"""The stream of everything that has a unique name, in a topic of its own."""


def _ints() -> "array[int]":
    return array("q")


@dataclass(slots=True)
class PointTable:
    """The points of single calls, in the order of their seqs: columns of equal length.

    Attributes:
        keys: the series that occur, without repetition.
        k: for each point, the index of its series in ``keys``.
        s: steps. t: times in ms. v: values, any double, NaN and infinities included.
    """

    keys: Sequence[SeriesKey] = ()
    k: "array[int]" = field(default_factory=_ints)
    s: "array[int]" = field(default_factory=_ints)
    t: "array[int]" = field(default_factory=_ints)
    v: "array[float]" = field(default_factory=lambda: array("d"))

    def __len__(self) -> int:
        return len(self.v)


@dataclass(slots=True)
class Envelope:
    """Records ``first_seq … first_seq + n - 1`` of ``session`` in ``stream``.

    Attributes:
        index: for each of ``events``, its index in the envelope, ascending; the other indices are points.
        events: everything that is not a point of a single call.
        points: the other records; ``len(events) + len(points) == n``.
    """

    session: str
    stream: str
    first_seq: int
    n: int
    index: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    points: PointTable = field(default_factory=PointTable)

    @property
    def end_seq(self) -> int:
        """The seq after the last one."""
        return self.first_seq + self.n


def cut(envelope: Envelope, low: int, high: int) -> Envelope:
    """What *envelope* holds of the seqs ``low <= seq < high``; empty (``n == 0``) where they do not meet."""
    first = max(low, envelope.first_seq)
    end = max(first, min(high, envelope.end_seq))
    if first == envelope.first_seq and end == envelope.end_seq:
        return envelope
    start, stop = first - envelope.first_seq, end - envelope.first_seq
    a, b = bisect_left(envelope.index, start), bisect_left(envelope.index, stop)
    p = envelope.points
    x, y = max(0, start - a), max(0, stop - b)
    return Envelope(
        envelope.session,
        envelope.stream,
        first,
        end - first,
        [i - start for i in envelope.index[a:b]],
        envelope.events[a:b],
        PointTable(p.keys, p.k[x:y], p.s[x:y], p.t[x:y], p.v[x:y]),
    )
