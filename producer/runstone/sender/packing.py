"""From the spool's records to envelopes. Pure: records in, bytes out.

An envelope carries consecutive seqs of one session in one stream, so a gap in the seqs closes it, and so
does reaching `limits.ENVELOPE_USUAL`. What the client wrote as JSON is put in as it is (`orjson.Fragment`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from runstone.events import limits
from runstone.events.encoding import Headers, decode, encode, headers, pack, values_to_json
from runstone.events.envelope import cut
from runstone.exceptions import MalformedEnvelopeError
from runstone.spool.reader import EventRecord, PointRun, Record, SeriesRecord

_NS_PER_MS: Final = 1_000_000
_POINT_BYTES: Final = 64
"""What a point takes in JSON: about 40 bytes, seldom more than this; the estimate errs upwards."""
_POINTS_AT_ONCE: Final = 512
"""Points that are added before the names they brought along are counted: half a mebibyte at the longest."""
_NUMBER_BYTES: Final = 25
"""The longest double or 64-bit integer with its comma."""


@dataclass(frozen=True, slots=True)
class Packed:
    """An envelope's bytes and what accounts for them."""

    session: str
    stream: str
    first_seq: int
    n: int
    value: bytes

    @property
    def headers(self) -> Headers:
        """The Kafka headers that belong to it."""
        return headers(self.session, self.stream, self.first_seq, self.n)


def pack_records(session: str, stream: str, records: Iterable[Record]) -> Iterator[Packed]:
    """The envelopes that carry *records*, all of *stream*, in order of their seqs."""
    envelope = _Envelope(session, stream)
    for record in records:
        if record.first_seq != envelope.end_seq and envelope.n:
            yield envelope.packed()
            envelope = _Envelope(session, stream)
        if isinstance(record, PointRun):
            taken = 0
            while taken < record.n:
                room = max(1, (limits.ENVELOPE_USUAL - envelope.size) // _POINT_BYTES)
                room = min(room, _POINTS_AT_ONCE)
                taken += envelope.add_points(record, taken, min(record.n, taken + room))
                if envelope.size >= limits.ENVELOPE_USUAL:
                    yield envelope.packed()
                    envelope = _Envelope(session, stream)
            continue
        event = record.payload if isinstance(record, EventRecord) else series_json(record)
        if envelope.n and envelope.size + len(event) > limits.ENVELOPE_USUAL:
            yield envelope.packed()
            envelope = _Envelope(session, stream)
        envelope.add_event(record.first_seq, event)
    if envelope.n:
        yield envelope.packed()


def halves(packed: Packed) -> tuple[Packed, ...]:
    """The same records in two envelopes; none where it is one record, or not as the contract says."""
    if packed.n == 1:
        return ()
    try:
        envelope = decode(packed.value)
    except MalformedEnvelopeError:
        return ()
    middle = packed.first_seq + packed.n // 2
    first, second = cut(envelope, 0, middle), cut(envelope, middle, envelope.end_seq)
    return (
        Packed(packed.session, packed.stream, first.first_seq, first.n, encode(first)),
        Packed(packed.session, packed.stream, second.first_seq, second.n, encode(second)),
    )


def series_json(record: SeriesRecord) -> bytes:
    """The contract's JSON object of a series."""
    stamps = record.stamps
    base = stamps[0] if stamps else record.time // _NS_PER_MS if record.steps else 0
    found: dict[str, Any] = {
        "type": "series",
        "key": orjson.Fragment(record.key),
        "s": record.steps.tolist(),
        "t0": base,
        "v": values_to_json(record.values),
    }
    if stamps and stamps.count(base) != len(stamps):
        found["t"] = [t - base for t in stamps]
    return orjson.dumps(found)


class _Envelope:
    """An envelope that is still open. ``size`` is an upper estimate of its bytes."""

    def __init__(self, session: str, stream: str) -> None:
        self._session = session
        self._stream = stream
        self.first_seq = 0
        self.n = 0
        self.size = 256
        self._index: list[int] = []
        self._events: list[orjson.Fragment] = []
        self._names: dict[bytes, int] = {}
        self._k: list[int] = []
        self._s: list[int] = []
        self._t: list[int] = []
        self._v: list[float] = []

    @property
    def end_seq(self) -> int:
        return self.first_seq + self.n

    def add_event(self, seq: int, event: bytes) -> None:
        if not self.n:
            self.first_seq = seq
        self._index.append(self.n)
        self._events.append(orjson.Fragment(event))
        self.n += 1
        self.size += len(event) + _NUMBER_BYTES

    def add_points(self, run: PointRun, start: int, stop: int) -> int:
        """Add the points ``start … stop - 1`` of *run*; how many they were."""
        if not self.n:
            self.first_seq = run.first_seq + start
        whole = start == 0 and stop == run.n
        part = slice(start, stop)
        keys = run.keys if whole else run.keys[part]
        indices = {key: self._name(run.names[key]) for key in dict.fromkeys(keys)}
        self._k.extend(map(indices.__getitem__, keys))
        self._s.extend(run.steps if whole else run.steps[part])
        self._v.extend(run.values if whole else run.values[part])
        self._t.extend([t // _NS_PER_MS for t in (run.times if whole else run.times[part])])
        self.n += stop - start
        self.size += (stop - start) * _POINT_BYTES
        return stop - start

    def _name(self, name: bytes) -> int:
        found = self._names.get(name)
        if found is None:
            found = self._names[name] = len(self._names)
            self.size += len(name) + 1
        return found

    def packed(self) -> Packed:
        points = None
        if self._k:
            base = self._t[0]
            points = {
                "keys": [orjson.Fragment(name) for name in self._names],
                "k": self._k,
                "s": self._s,
                "t0": base,
                "t": [t - base for t in self._t],
                "v": values_to_json(self._v),
            }
        value = pack(self._session, self._stream, self.first_seq, self.n, self._index, self._events, points)
        return Packed(self._session, self._stream, self.first_seq, self.n, value)
