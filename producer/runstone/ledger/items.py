"""What reading gives."""

from dataclasses import dataclass
from typing import NamedTuple

from runstone.events import Event
from runstone.events.types import SeriesKey


class Point(NamedTuple):
    """A metric point of a single call.

    Attributes:
        key: the metric's key, and the model and dataset it was measured for, if any.
        step, time: a 64-bit integer, milliseconds UTC.
        value: any double, NaN and infinities included.
    """

    key: SeriesKey
    step: int
    time: int
    value: float


class Unreadable(NamedTuple):
    """A record of the topic that is not of the contract; in the read model it is a dead letter.

    Attributes:
        reason: what was found and what was expected.
        value: the record's bytes; None where it has none.
    """

    reason: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class LedgerEvent:
    """One event and its place in the ledger. (stream, session, seq) names it for ever; no other has it.

    Attributes:
        topic, partition, offset: of the record that brought it; a record brings many.
        time: the broker's clock when it got the record, milliseconds UTC.
        session: the writing process.
        stream: a run's id, a logged model's id, or ``catalog``.
        seq: numbers what the session said in the stream, from 0. Of an unreadable record the first that its
            headers name, -1 where they cannot be read either.
        event: one of ``runstone.events.types``, a `Point`, or an `Unreadable`.
    """

    topic: str
    partition: int
    offset: int
    time: int
    session: str
    stream: str
    seq: int
    event: Event | Point | Unreadable
