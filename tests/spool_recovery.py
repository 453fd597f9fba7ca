"""What can be recovered from a damaged spool, by a plain parser of its own: docs/spool.md, nothing of the reader."""

import json
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from tests.spool_contents import END, EVENT, KEY, POINT, SERIES, STREAM, Record, _content


class Recovered(NamedTuple):
    """The records that are valid, whether anything tells of damage, and whether the writer closed the segment."""

    records: list[Record]
    damaged: bool
    closed: bool


def recover_segment(path: Path) -> Recovered:
    """A segment that nobody writes to any more."""
    data = path.read_bytes()
    fields = _header(data)
    if fields is None:
        return Recovered([], damaged=True, closed=False)
    _magic, _version, _number, salt, size, _ns, _mono, session, _uri_length = fields
    streams: dict[int, tuple[str, int]] = {}
    keys: dict[int, str] = {}
    found: list[Record] = []
    damaged = False
    at = 4096
    while at + 32 <= size:
        length = _valid_length(data, at, size, salt)
        if length is None:
            later = next((p for p in range(at + 8, len(data), 8) if _valid_length(data, p, size, salt)), None)
            damaged |= later is not None or len(data) < size or data[at : at + 4] != bytes(4)
            if later is None:
                return Recovered(found, damaged, closed=False)
            at = later
            continue
        _crc, head, stream, key, seq, time_ns, _mono = struct.unpack_from("<IIHHIQQ", data, at)
        kind, payload = head >> 24, data[at + 32 : at + length]
        at += length + 7 & ~7
        if kind == END:
            return Recovered(found, damaged, closed=True)
        if kind == STREAM:
            streams[stream] = payload[8:].decode(), struct.unpack_from("<Q", payload)[0]
        elif kind == KEY:
            keys[key] = json.loads(payload)
        elif stream not in streams or (kind != EVENT and key not in keys):
            damaged = True
        else:
            name, base = streams[stream]
            named = "" if kind == EVENT else keys[key]
            content = _content(kind, payload)
            found.append(Record(session.hex(), name, base + seq, kind, named, time_ns // 10**6, content))
    return Recovered(found, damaged, closed=True)


def _header(data: bytes) -> tuple | None:
    layout = "<8sIIIQQQ16sH"
    if len(data) < 4096:
        return None
    if zlib.crc32(data[:4000]) == struct.unpack_from("<I", data, 4092)[0]:
        return struct.unpack_from(layout, data)
    if zlib.crc32(data[4000:4062]) == struct.unpack_from("<I", data, 4062)[0]:
        return struct.unpack_from(layout, data, 4000)
    return None


def _valid_length(data: bytes, at: int, size: int, salt: int) -> int | None:
    if at + 32 > min(size, len(data)):
        return None
    crc, head = struct.unpack_from("<II", data, at)
    kind, length = head >> 24, head & 0xFFFFFF
    least = {STREAM: 40, SERIES: 40, POINT: 48, KEY: 32, EVENT: 32, END: 32}.get(kind)
    if (
        least is None
        or length < least
        or (kind == POINT and length != 48)
        or at + length > min(size, len(data))
    ):
        return None
    return length if zlib.crc32(data[at + 4 : at + length], salt) == crc else None


def refused_ranges(path: Path) -> list[tuple[str, int, int]]:
    """Stream, first seq and count of what a session refused and has not declared."""
    data, found = path.read_bytes(), []
    for at in range(0, 64 * 128, 128):
        crc, first, count, length = struct.unpack_from("<IQQH", data, at)
        if count and zlib.crc32(data[at + 4 : at + 128]) == crc:
            found.append((data[at + 22 : at + 22 + length].decode(), first, count))
    return found
