"""The bytes of an envelope: JSON by orjson, exact for every value.

JSON has no NaN and orjson writes ``null`` for it without a word, so values that are not finite are written
as the texts "NaN", "Infinity" and "-Infinity". Finite doubles are written shortest-round-trip, -0.0 included.
"""

import itertools
import math
from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import orjson

from runstone.events import limits
from runstone.events.envelope import CATALOG, VERSION, Envelope, PointTable
from runstone.events.types import (
    CatalogEvent,
    Event,
    Series,
    SeriesKey,
    check_key,
    check_text,
    from_json,
    to_json,
)
from runstone.exceptions import MalformedEnvelopeError, UnknownVersionError

_NOT_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

_REMEMBERED_KEYS: Final = 256
"""A longer table of keys is not remembered, so that the memory for it is bounded."""

Headers = list[tuple[str, bytes]]


def values_to_json(values: Sequence[float]) -> list[float | str]:
    """Values as JSON can carry them. A finite sum proves that all are finite, at the speed of C."""
    listed: list[float | str] = list(values)
    if math.isfinite(sum(values)):
        return listed
    return [v if math.isfinite(v) else value_to_json(v) for v in values]


def value_to_json(value: float) -> float | str:
    """One value as JSON can carry it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def values_from_json(found: object) -> "array[float]":
    """The inverse of `values_to_json`. Raises `MalformedEnvelopeError` for anything that is no number."""
    if type(found) is not list:
        raise MalformedEnvelopeError(f"values: expected an array, found {str(found)[:80]!r}")
    try:
        return array("d", found)
    except (TypeError, OverflowError):
        pass
    try:
        return array("d", [_NOT_FINITE[v] if type(v) is str else v for v in found])
    except (TypeError, OverflowError, KeyError) as wrong:
        raise MalformedEnvelopeError(
            f'values: expected numbers, "NaN", "Infinity" or "-Infinity" ({wrong})'
        ) from None


def _integers(found: object, name: str) -> "array[int]":
    try:
        return array("q", found)  # type: ignore[call-overload,no-any-return]
    except (TypeError, OverflowError) as wrong:
        raise MalformedEnvelopeError(f"{name}: expected an array of 64-bit integers ({wrong})") from None


def _times(base: object, found: object, name: str) -> "array[int]":
    if type(base) is not int:
        raise MalformedEnvelopeError(f"{name}.t0: expected a time in ms, found {str(base)[:80]!r}")
    deltas = _integers(found, f"{name}.t")
    if not deltas:
        return deltas
    if base + min(deltas) < 0 or base + max(deltas) > limits.TIME_MAX:
        raise MalformedEnvelopeError(f"{name}.t: a time lies outside the years 1970 to 9999")
    return array("q", [base + d for d in deltas]) if base else deltas


def series_key_to_json(key: SeriesKey) -> str | list[str]:
    """The key alone, or all four parts where the point belongs to a model or dataset."""
    return list(key) if any(key[1:]) else key.key


def series_key_from_json(found: object) -> SeriesKey:
    """The inverse of `series_key_to_json`."""
    parts = [found] if type(found) is str else found
    if type(parts) is not list or len(parts) not in {1, 4}:
        raise MalformedEnvelopeError(f"a series key: expected a text or four, found {str(found)[:80]!r}")
    check_key(parts[0])
    for part in parts[1:]:
        check_text(part)
    return SeriesKey(*parts)


def _table_keys(found: list[Any]) -> tuple[SeriesKey, ...]:
    if len(found) <= _REMEMBERED_KEYS and set(map(type, found)) == {str}:
        return _plain_table_keys(tuple(found))
    return _different(tuple(map(series_key_from_json, found)))


@lru_cache(1024)
def _plain_table_keys(texts: tuple[str, ...]) -> tuple[SeriesKey, ...]:
    """Remembered: the envelopes of a run name the same series again and again."""
    return _different(tuple(map(series_key_from_json, texts)))


def _different(keys: tuple[SeriesKey, ...]) -> tuple[SeriesKey, ...]:
    if len(set(keys)) != len(keys):
        raise MalformedEnvelopeError("points.keys: a key is repeated")
    return keys


def points_to_json(points: PointTable) -> dict[str, Any]:
    """The table of points; times as distances to the first, which keeps them short."""
    base = points.t[0] if points.t else 0
    return {
        "keys": [series_key_to_json(key) for key in points.keys],
        "k": points.k.tolist(),
        "s": points.s.tolist(),
        "t0": base,
        "t": [t - base for t in points.t],
        "v": values_to_json(points.v),
    }


def _points_from_json(found: object) -> PointTable:
    if type(found) is not dict or type(found.get("keys")) is not list:
        raise MalformedEnvelopeError('points: expected an object with "keys", "k", "s", "t0", "t" and "v"')
    keys = _table_keys(found["keys"])
    k = _integers(found.get("k"), "points.k")
    s = _integers(found.get("s"), "points.s")
    t = _times(found.get("t0"), found.get("t"), "points")
    v = values_from_json(found.get("v"))
    if not len(k) == len(s) == len(t) == len(v):
        raise MalformedEnvelopeError(
            f"points: the columns differ in length (k {len(k)}, s {len(s)}, t {len(t)}, v {len(v)})"
        )
    if k and (min(k) < 0 or max(k) >= len(keys)):
        raise MalformedEnvelopeError(f"points.k: an index lies outside the {len(keys)} keys")
    return PointTable(keys, k, s, t, v)


def event_to_json(event: Event) -> dict[str, Any]:
    """The JSON object of any event."""
    if not isinstance(event, Series):
        return to_json(event)
    base = event.times[0] if event.times else 0
    same = not event.times or event.times.count(base) == len(event.times)
    found = {
        "type": Series.TYPE,
        "key": series_key_to_json(event.key),
        "s": event.steps.tolist(),
        "t0": base,
        "v": values_to_json(event.values),
    }
    return found if same else found | {"t": [t - base for t in event.times]}


def _event_from_json(found: object) -> Event:
    if type(found) is not dict:
        raise MalformedEnvelopeError(f"an event: expected an object, found {str(found)[:80]!r}")
    if found.get("type") != Series.TYPE:
        return from_json(found)
    key = series_key_from_json(found.get("key"))
    s = _integers(found.get("s"), "series.s")
    v = values_from_json(found.get("v"))
    t = _times(found.get("t0"), found.get("t", [0] * len(s)), "series")
    if not len(s) == len(t) == len(v):
        raise MalformedEnvelopeError(
            f"series: the columns differ in length (s {len(s)}, t {len(t)}, v {len(v)})"
        )
    return Series(key, s, t, v)


def encode(envelope: Envelope) -> bytes:
    """The value of the Kafka record that carries *envelope*."""
    return pack(
        envelope.session,
        envelope.stream,
        envelope.first_seq,
        envelope.n,
        envelope.index,
        [event_to_json(event) for event in envelope.events],
        points_to_json(envelope.points) if envelope.points else None,
    )


def pack(
    session: str,
    stream: str,
    first_seq: int,
    n: int,
    index: list[int],
    events: Sequence[Any],
    points: dict[str, Any] | None,
) -> bytes:
    """An envelope's bytes from parts that are JSON already (`orjson.Fragment` included)."""
    found: dict[str, Any] = {
        "v": VERSION, "session": session, "stream": stream, "first_seq": first_seq, "n": n,
    }  # fmt: skip
    if events:
        found["i"] = index
        found["events"] = events
    if points is not None:
        found["points"] = points
    return orjson.dumps(found)


def headers(session: str, stream: str, first_seq: int, n: int) -> Headers:
    """The Kafka headers: enough to account for a record whose value cannot be read."""
    return [
        ("v", b"%d" % VERSION),
        ("session", session.encode()),
        ("stream", stream.encode()),
        ("first_seq", b"%d" % first_seq),
        ("n", b"%d" % n),
    ]


def decode(value: bytes) -> Envelope:
    """The envelope in a record's value.

    Raises:
        UnknownVersionError: the envelope says another version than this program knows.
        MalformedEnvelopeError: anything else that is not the contract; the message says what and where.
    """
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError as wrong:
        raise MalformedEnvelopeError(f"not JSON: {wrong}") from None
    if type(found) is not dict:
        raise MalformedEnvelopeError(f"expected an object, found {type(found).__name__}")
    version = found.get("v")
    if type(version) is not int:
        raise MalformedEnvelopeError(f"v: expected a version number, found {str(version)[:80]!r}")
    if version != VERSION:
        raise UnknownVersionError(f"version {version} of the contract is unknown here; expected {VERSION}")
    for name in ("session", "stream"):
        try:
            check_key(found.get(name))
        except MalformedEnvelopeError as wrong:
            raise MalformedEnvelopeError(f"{name}: {wrong}") from None
    first_seq, n = found.get("first_seq"), found.get("n")
    if type(first_seq) is not int or not 0 <= first_seq <= limits.STEP_MAX:
        raise MalformedEnvelopeError(f"first_seq: expected a number from 0, found {str(first_seq)[:80]!r}")
    if type(n) is not int or not 1 <= n <= limits.STEP_MAX - first_seq:
        raise MalformedEnvelopeError(f"n: expected a number from 1, found {str(n)[:80]!r}")
    index = _index(found.get("i", []), n)
    raw = found.get("events", [])
    if type(raw) is not list or len(raw) != len(index):
        raise MalformedEnvelopeError("events: expected an array as long as i")
    points = _points_from_json(found["points"]) if "points" in found else PointTable()
    if len(raw) + len(points) != n:
        raise MalformedEnvelopeError(f"n is {n}, but there are {len(raw)} events and {len(points)} points")
    events = [_event_from_json(event) for event in raw]
    in_catalog = found["stream"] == CATALOG
    if in_catalog and points:
        raise MalformedEnvelopeError("points: the catalog carries none")
    for event in events:
        if isinstance(event, CatalogEvent) != in_catalog:
            raise MalformedEnvelopeError(f"{event.TYPE} does not belong into the stream {found['stream']!r}")
    return Envelope(found["session"], found["stream"], first_seq, n, index, events, points)


def _index(found: object, n: int) -> list[int]:
    if type(found) is not list or any(type(i) is not int for i in found):
        raise MalformedEnvelopeError("i: expected an array of indices")
    if found and (found[0] < 0 or found[-1] >= n or any(a >= b for a, b in itertools.pairwise(found))):
        raise MalformedEnvelopeError(f"i: expected ascending indices below n ({n})")
    return found
