"""The bytes of a segment file: a header, then records one behind the other. Pure functions, no I/O.

All numbers are little-endian. A segment is fully allocated before it is mapped, so what has not been
written reads as zeros. Every record starts at a multiple of 8 and with the same 32 bytes::

    offset  size  field
    0       4     crc     CRC-32 of bytes 4 … length, started with the segment's salt
    4       4     kind << 24 | length      length in bytes, header included, padding excluded
    8       2     stream  index of the stream, defined by a STREAM record of this segment
    10      2     key     index of the series key, defined by a KEY record of this segment, else 0
    12      4     seq     seq of the record minus the base in its STREAM record
    16      8     time    wall clock of the writer, ns since 1970
    24      8     mono    CLOCK_MONOTONIC of the machine, ns; orders records of several processes of one boot
    32      …     payload, by kind

The crc is stored last. Eight zero bytes where a record should start mean that nothing has been written
there yet; a crc that does not match means the same as long as the writer lives, and damage afterwards.

======== ===== =============================================================================
kind           payload
======== ===== =============================================================================
STREAM   1     u64 base seq of the stream in this segment, then its name in UTF-8; no seq
KEY      2     the series key as the contract's JSON; no seq
POINT    3     i64 step, f64 value
EVENT    4     the event as the contract's JSON object
SERIES   5     u32 n, u32 1 where times follow else 0, then i64 steps[n], f64 values[n], i64 times[n] in ms
END      6     nothing: the writer closed the segment and goes on in the next one
======== ===== =============================================================================
"""

import struct
from dataclasses import dataclass
from typing import Final
from zlib import crc32

FORMAT: Final = 1
"""The version of this format; a sender touches only spools of its own."""

MAGIC: Final = b"RUNSTONE"
HEADER_SIZE: Final = 4096
"""Bytes before the first record: one page, so that records are page-aligned."""

STREAM: Final = 1
KEY: Final = 2
POINT: Final = 3
EVENT: Final = 4
SERIES: Final = 5
END: Final = 6

LENGTH_MASK: Final = 0xFFFFFF
INDEX_MAX: Final = 0xFFFF
"""Streams and keys a segment can name; a writer that needs more goes on in the next segment."""

RECORD: Final = struct.Struct("<IIHHIQQ")
BODY: Final = struct.Struct("<IHHIQQ")
"""A record's fixed part without its crc, which is what the crc covers, payload appended."""

POINT_BODY: Final = struct.Struct("<IHHIQQqd")
POINT_SIZE: Final = 48
POINT_HEAD: Final = POINT << 24 | POINT_SIZE
POINT_PAYLOAD: Final = struct.Struct("<qd")
STREAM_PAYLOAD: Final = struct.Struct("<Q")
SERIES_PAYLOAD: Final = struct.Struct("<II")
CRC: Final = struct.Struct("<I")

_HEADER: Final = struct.Struct("<8sIIIQQQ16sH")
_COPY_AT: Final = 4000
"""Where the header page holds its fields again, without the uri: it is all that reading the records needs."""
_CRC_AT: Final = HEADER_SIZE - 4


class OtherFormat(OSError):
    """A segment of a format that this program does not know; nothing is wrong with it."""


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """The first page of a segment.

    Attributes:
        session: the writing session, 32 hexadecimal digits.
        number: of the segment within its session, from 1, without gaps.
        salt: starts every checksum, so that remains of another file are never taken for records.
        size: of the whole file in bytes, as allocated.
        created_ns, created_mono_ns: both clocks when it was made.
        uri: the destination, as the client was given it; at most 2000 bytes.
        damaged: one half of the page is; where it is the first one, ``uri`` is empty.
    """

    session: str
    number: int
    salt: int
    size: int
    created_ns: int
    created_mono_ns: int
    uri: str
    damaged: bool = False


def pack_header(header: SegmentHeader) -> bytes:
    """The first `HEADER_SIZE` bytes of a segment: fields and uri; the fields again; a CRC-32 of each half."""
    uri = header.uri.encode()
    fields = _HEADER.pack(
        MAGIC, FORMAT, header.number, header.salt, header.size, header.created_ns, header.created_mono_ns,
        bytes.fromhex(header.session), len(uri),
    )  # fmt: skip
    page = (fields + uri).ljust(_COPY_AT, b"\0")
    copy = (fields + CRC.pack(crc32(fields))).ljust(_CRC_AT - _COPY_AT, b"\0")
    return page + copy + CRC.pack(crc32(page))


def unpack_header(page: bytes) -> SegmentHeader:
    """The header in the first page of a file.

    Raises:
        ValueError: the page is no header; the message says why.
        OtherFormat: it is one of another format.
    """
    if len(page) < HEADER_SIZE or MAGIC not in {page[:8], page[_COPY_AT : _COPY_AT + 8]}:
        raise ValueError("no segment of a spool: it does not begin with RUNSTONE")
    first = page[: _HEADER.size], CRC.unpack_from(page, _CRC_AT)[0] == crc32(page[:_COPY_AT])
    copy = page[_COPY_AT : _COPY_AT + _HEADER.size]
    second = copy, CRC.unpack_from(page, _COPY_AT + _HEADER.size)[0] == crc32(copy)
    valid = [fields for fields, matches in (first, second) if matches]
    if not valid:
        raise ValueError("its first page is damaged (checksum)")
    _magic, version, number, salt, size, created, mono, session, uri_length = _HEADER.unpack(valid[0])
    if version != FORMAT:
        raise OtherFormat(f"a segment of spool format {version}; this program knows {FORMAT}")
    uri = page[_HEADER.size : _HEADER.size + uri_length].decode() if first[1] else ""
    return SegmentHeader(session.hex(), number, salt, size, created, mono, uri, damaged=len(valid) == 1)


def pack_record(
    salt: int, kind: int, stream: int, key: int, seq: int, time_ns: int, mono_ns: int, payload: bytes
) -> bytes:
    """A whole record, padded to a multiple of 8."""
    length = RECORD.size + len(payload)
    body = BODY.pack(kind << 24 | length, stream, key, seq, time_ns, mono_ns) + payload
    return CRC.pack(crc32(body, salt)) + body + bytes(-length % 8)


def padded(length: int) -> int:
    """The distance from a record of *length* bytes to the next one."""
    return length + 7 & ~7
