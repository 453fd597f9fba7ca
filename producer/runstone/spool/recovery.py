"""What to do where a segment whose writer is gone holds no valid record: look for the next one. Bounded I/O.

A record is where its checksum matches, and nowhere else: lengths of damaged records are not trusted, so each
multiple of 8 is tried. Pages of zeros, which is what most of an orphan's last segment is, are skipped at the
speed of a memory comparison.
"""

import errno
import os
from typing import Final
from zlib import crc32

from runstone.spool.segment import CRC, END, KEY, LENGTH_MASK, POINT, POINT_SIZE, RECORD, SERIES, STREAM

_BLOCK: Final = 1 << 20
_PAGE: Final = 4096
_ZEROS: Final = bytes(_PAGE)

_SHORTEST: Final = {STREAM: RECORD.size + 8, KEY: RECORD.size, POINT: POINT_SIZE, SERIES: RECORD.size + 8}


def pread(descriptor: int, length: int, position: int, *, holes: bool) -> bytes:
    """``os.pread``; with *holes*, pages that the disk cannot give any more read as zeros.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return os.pread(descriptor, length, position)
    except OSError as wrong:
        if not holes or wrong.errno != errno.EIO:
            raise
    found = b""
    while len(found) < length:
        at = position + len(found)
        step = min(_PAGE - at % _PAGE, length - len(found))
        try:
            part = os.pread(descriptor, step, at)
        except OSError as wrong:
            if wrong.errno != errno.EIO:
                raise
            part = bytes(min(step, os.fstat(descriptor).st_size - at))
        found += part
        if len(part) < step:
            break
    return found


def next_record(descriptor: int, position: int, size: int, salt: int, *, holes: bool) -> int | None:
    """The first position from *position* on at which a valid record lies; None where there is none.

    Args:
        descriptor: of the segment's file.
        position: where to begin, a multiple of 8.
        size: of the segment in bytes; nothing is read from there on.
        salt: of the segment.
        holes: see `pread`.
    """
    while position < size:
        block = pread(descriptor, min(_BLOCK, size - position), position, holes=holes)
        if len(block) < RECORD.size:
            return None
        for page in range(0, len(block), _PAGE):
            if block[page : page + _PAGE] == _ZEROS:
                continue
            for at in range(page, min(page + _PAGE, len(block)), 8):
                if is_record(descriptor, position + at, size, salt, block, at, holes=holes):
                    return position + at
        position += len(block) & ~7
    return None


def is_record(
    descriptor: int, position: int, size: int, salt: int, block: bytes, at: int, *, holes: bool
) -> bool:
    """Whether a valid record lies at *position*, which is offset *at* of *block*, if the block reaches it."""
    head = block[at : at + RECORD.size]
    if len(head) < RECORD.size:
        head = pread(descriptor, RECORD.size, position, holes=holes)
        if len(head) < RECORD.size:
            return False
    crc: int = CRC.unpack_from(head)[0]
    kind_length: int = CRC.unpack_from(head, 4)[0]
    kind, length = kind_length >> 24, kind_length & LENGTH_MASK
    if not STREAM <= kind <= END or length < _SHORTEST.get(kind, RECORD.size) or position + length > size:
        return False
    body = block[at + 4 : at + length]
    if len(body) < length - 4:
        body = pread(descriptor, length - 4, position + 4, holes=holes)
    return len(body) == length - 4 and crc32(body, salt) == crc
