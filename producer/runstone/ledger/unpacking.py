"""From records to events: checked, and each event once. Pure."""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from runstone.events import CATALOG, Envelope, cut, decode, seq_ranges
from runstone.exceptions import MalformedEnvelopeError
from runstone.ledger.items import LedgerEvent, Point, Unreadable

_NUMBER: Final = re.compile(rb"\d{1,19}")


class Address(NamedTuple):
    """What a record's headers say of it; they can be read where the value cannot."""

    session: str
    stream: str
    first_seq: int
    n: int


_NOWHERE: Final = Address("", "", -1, 0)


def address(record: Any) -> Address | None:
    """The headers of an aiokafka *record*; None where they say nothing."""
    found = dict(record.headers)
    numbers = found.get("first_seq", b""), found.get("n", b"")
    if not all(_NUMBER.fullmatch(number or b"") for number in numbers):
        return None
    try:
        return Address(found["session"].decode(), found["stream"].decode(), *map(int, numbers))
    except (KeyError, AttributeError, UnicodeDecodeError):
        return None


class Unpacking:
    """Remembers which seqs of which sessions were given."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[int, seq_ranges.Ranges]] = {}

    def unpack(self, record: Any, home: int | None) -> list[LedgerEvent]:
        """The new events of an aiokafka *record*, in their order.

        *home* is the partition where its stream belongs; None in the catalog.
        """
        try:
            envelope = _envelope(record, home)
        except MalformedEnvelopeError as wrong:
            said = address(record) or _NOWHERE
            broken = Unreadable(str(wrong), record.value)
            return [_item(record, said.session, said.stream, said.first_seq, broken)]
        key = envelope.stream, envelope.session
        high_seq, missing = self._seen.get(key, (-1, ()))
        new, high_seq, missing = seq_ranges.claim(high_seq, missing, envelope.first_seq, envelope.end_seq)
        self._seen[key] = high_seq, missing
        return [
            _item(record, envelope.session, envelope.stream, seq, event)
            for low, end in new
            for seq, event in _in_order(cut(envelope, low, end))
        ]


def _item(record: Any, session: str, stream: str, seq: int, event: Any) -> LedgerEvent:
    return LedgerEvent(
        record.topic, record.partition, record.offset, record.timestamp, session, stream, seq, event
    )


def _envelope(record: Any, home: int | None) -> Envelope:
    said = address(record)
    if said is None:
        raise MalformedEnvelopeError("headers: session, stream, first_seq and n are not all there")
    if record.key != said.stream.encode() or (said.stream == CATALOG) != (home is None):
        raise MalformedEnvelopeError(f"the stream {said.stream!r} contradicts the record's key or topic")
    if home is not None and record.partition != home:
        raise MalformedEnvelopeError(
            f"the stream {said.stream} belongs into partition {home}, found in {record.partition}"
        )
    envelope = decode(record.value or b"")
    if Address(envelope.session, envelope.stream, envelope.first_seq, envelope.n) != said:
        raise MalformedEnvelopeError("the headers say other seqs, another session or stream than the value")
    return envelope


def _in_order(envelope: Envelope) -> Iterator[tuple[int, Any]]:
    p = envelope.points
    points = (Point(p.keys[k], s, t, v) for k, s, t, v in zip(p.k, p.s, p.t, p.v, strict=True))
    at = 0
    for index, event in zip(envelope.index, envelope.events, strict=True):
        while at < index:
            yield envelope.first_seq + at, next(points)
            at += 1
        yield envelope.first_seq + at, event
        at += 1
    for point in points:
        yield envelope.first_seq + at, point
        at += 1
