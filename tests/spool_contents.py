"""What a spool holds, by a plain parser of its own: what docs/spool.md says, and nothing of the reader."""

import json
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STREAM, KEY, POINT, EVENT, SERIES, END = range(1, 7)


@dataclass(frozen=True)
class Record:
    """A record that has a seq. ``data``: (step, value), an event's object, or (steps, values, times)."""

    session: str
    stream: str
    seq: int
    kind: int
    key: str
    time_ms: int
    data: Any


def spool_records(root: Path) -> list[Record]:
    """Every record of every session below a spool's root, by session, then in the order of appending."""
    return [record for folder in session_folders(root) for record in session_records(folder)]


def session_folders(root: Path) -> list[Path]:
    """The sessions that have announced themselves, by age."""
    return sorted(found.parent for found in root.glob("*/sessions/*/session.json"))


def session_records(folder: Path) -> list[Record]:
    """The records of one session; segments are numbered from 1 without gaps."""
    segments = sorted(folder.glob("*.seg"))
    assert [int(segment.stem) for segment in segments] == list(range(1, len(segments) + 1))
    found: list[Record] = []
    for segment in segments:
        records, ended = segment_records(segment)
        assert ended or segment is segments[-1]
        found += records
    return found


def segment_records(path: Path) -> tuple[list[Record], bool]:
    """The records of one segment, and whether its writer has closed it (or left no room)."""
    data = path.read_bytes()
    magic, version, number, salt, size, _ns, _mono, session, uri_length = struct.unpack_from(
        "<8sIIIQQQ16sH", data
    )
    assert (magic, version, number, size) == (b"RUNSTONE", 1, int(path.stem), len(data))
    assert zlib.crc32(data[:4000]) == struct.unpack_from("<I", data, 4092)[0]
    assert data[4000:4062] == data[:62]
    assert data[62 : 62 + uri_length].startswith(b"http")
    streams: dict[int, tuple[str, int]] = {}
    keys: dict[int, str] = {}
    found: list[Record] = []
    at = 4096
    while at + 32 <= size:
        crc, head, stream, key, seq, time_ns, _mono = struct.unpack_from("<IIHHIQQ", data, at)
        if not crc and not head:
            return found, False
        kind, length = head >> 24, head & 0xFFFFFF
        if not crc and not _any_checksum(data, at):
            return found, False  # a kill between bodies and checksums: the call had not returned
        assert zlib.crc32(data[at + 4 : at + length], salt) == crc, f"a damaged record at {at}"
        payload = data[at + 32 : at + length]
        at += length + 7 & ~7
        if kind == END:
            return found, True
        if kind == STREAM:
            streams[stream] = payload[8:].decode(), struct.unpack_from("<Q", payload)[0]
        elif kind == KEY:
            keys[key] = json.loads(payload)
        else:
            name, base = streams[stream]
            content = _content(kind, payload)
            named = keys[key] if kind in {POINT, SERIES} else ""
            found.append(Record(session.hex(), name, base + seq, kind, named, time_ns // 10**6, content))
    return found, True


def _any_checksum(data: bytes, at: int) -> bool:
    """Whether one of the records from *at* on has one; behind the last of them there are only zeros."""
    while any(data[at : at + 48]):
        crc, head = struct.unpack_from("<II", data, at)
        if crc:
            return True
        at += max(head & 0xFFFFFF, 48) + 7 & ~7
    return any(data[at:])


def _content(kind: int, payload: bytes) -> Any:
    if kind == POINT:
        return struct.unpack("<qd", payload)
    if kind == EVENT:
        return json.loads(payload)
    assert kind == SERIES
    n, has_times = struct.unpack_from("<II", payload)
    steps = list(struct.unpack_from(f"<{n}q", payload, 8))
    values = list(struct.unpack_from(f"<{n}d", payload, 8 + 8 * n))
    times = list(struct.unpack_from(f"<{n}q", payload, 8 + 16 * n)) if has_times else None
    return steps, values, times


def events(records: list[Record], stream: str, *types: str) -> list[dict[str, Any]]:
    """The events of a stream of the given types, in order."""
    return [r.data for r in records if r.stream == stream and r.kind == EVENT and r.data["type"] in types]


def run_streams(records: list[Record]) -> list[str]:
    """The ids of the runs that occur, in order of their first record."""
    return list(dict.fromkeys(r.stream for r in records if r.stream != "catalog"))


def assert_dense(records: list[Record]) -> None:
    """The seqs of each session and stream are 0, 1, 2, … in the order of appending."""
    seqs: dict[tuple[str, str], int] = {}
    for record in records:
        which = record.session, record.stream
        assert record.seq == seqs.get(which, 0)
        seqs[which] = record.seq + 1
