"""Reading a segment: bounded blocks from a position, points in bulk, nothing believed without its checksum.

One reader belongs to one task of the sender; a writer may append to the file all the while, and what it has
not finished yet does not exist for the reader. The reader remembers which streams and series the segment
has named so far, which is why a reader that shall begin in the middle reads the part before as well.

Points come as columns: their records have one size, so a block of them is unpacked, checked and turned into
columns by loops in C (``struct.iter_unpack``, ``map``, ``zip``), 0.6 µs a point instead of 2.
"""

import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from operator import itemgetter
from pathlib import Path
from struct import Struct
from typing import Any, Final
from zlib import crc32

from runstone.spool.recovery import is_record, next_record, pread
from runstone.spool.segment import (
    END,
    EVENT,
    HEADER_SIZE,
    KEY,
    LENGTH_MASK,
    POINT_HEAD,
    POINT_SIZE,
    RECORD,
    SERIES,
    SERIES_PAYLOAD,
    STREAM,
    STREAM_PAYLOAD,
    SegmentHeader,
    padded,
    unpack_header,
)

_POINT: Final = Struct("<IIHHIQQqd")
_POINT_CHECKED: Final = Struct("<4x44s")
_BULK_LEAST: Final = 16
_BULK_MOST: Final = 4096


@dataclass(slots=True)
class PointRun:
    """Consecutive points of one stream: columns of equal length.

    Attributes:
        stream: its name. first_seq: of the first point; the others follow without gap.
        names: the series of the segment by index, each the contract's JSON; shared, it only grows.
        keys: for each point, an index into ``names``.
        times: ns since 1970. monos: CLOCK_MONOTONIC, ns. steps, values: as logged.
    """

    stream: str
    first_seq: int
    names: Mapping[int, bytes]
    keys: Sequence[int]
    times: Sequence[int]
    monos: Sequence[int]
    steps: Sequence[int]
    values: Sequence[float]

    @property
    def n(self) -> int:
        """How many seqs it takes."""
        return len(self.keys)


@dataclass(slots=True)
class EventRecord:
    """One event; ``payload`` is the contract's JSON object. Times as in `PointRun`."""

    stream: str
    first_seq: int
    time: int
    mono: int
    payload: bytes
    n: int = 1


@dataclass(slots=True)
class SeriesRecord:
    """One ``log_series`` call; ``key`` is the contract's JSON, ``stamps`` are ms, None: all are ``time``."""

    stream: str
    first_seq: int
    time: int
    mono: int
    key: bytes
    steps: "array[int]"
    values: "array[float]"
    stamps: "array[int] | None"
    n: int = 1


@dataclass(slots=True)
class Damage:
    """Here something was unreadable that had been written; what follows may have lost seqs before it."""

    at: int


Record = PointRun | EventRecord | SeriesRecord
Item = Record | Damage


class SegmentReader:
    """Reads one segment from its beginning on.

    Attributes:
        header: the segment's. position: of the next record in the file.
        ended: whether the writer closed the segment (or, with ``final``, nothing more can follow).
        closed: whether the writer did. holes: may be set at any time, see `__init__`.
    """

    def __init__(self, path: Path, *, holes: bool = False) -> None:
        """Open the segment.

        Args:
            path: its file.
            holes: pages that the disk cannot give any more are as if nothing had been written there.

        Raises:
            OSError: it cannot be opened or read. OtherFormat: it is of another format.
            ValueError: it is no segment.
        """
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.header: SegmentHeader = unpack_header(pread(self._fd, HEADER_SIZE, 0, holes=holes))
        except BaseException:
            os.close(self._fd)
            raise
        self.holes = holes
        self.position = HEADER_SIZE
        self.ended = False
        self.closed = False
        self._streams: dict[int, tuple[str, int]] = {}
        self._names: dict[int, bytes] = {}
        self._bulk = _BULK_LEAST

    def close(self) -> None:
        """Close the file; the reader is of no further use."""
        os.close(self._fd)

    def fileno(self) -> int:
        """The descriptor, for ``fdatasync``."""
        return self._fd

    def has_more(self) -> bool:
        """Whether something may have been written at the position: a guess that costs one system call."""
        return not self.ended and os.pread(self._fd, 8, self.position) not in (bytes(8), b"")

    def read(self, limit: int, *, final: bool = False) -> list[Item]:
        """The records from the position on, in order of each stream, from at most *limit* bytes.

        A single larger record is read whole. Points of several streams that alternate come sorted by stream.

        Args:
            limit: bytes, a multiple of 8.
            final: the writer is gone, so what is not valid now is damage: look behind it.
        """
        size, salt = self.header.size, self.header.salt
        items: list[Item] = []
        block = pread(self._fd, min(limit, size - self.position), self.position, holes=self.holes)
        at = 0
        while not self.ended:
            left = len(block) - at
            here = self.position + at
            if here + RECORD.size > size:
                self.ended = self.closed = True
                break
            if left < RECORD.size:
                # Either the block ends here, or the file does: a writer without mmap has not got further.
                if not final or (at and pread(self._fd, 1, here + left, holes=self.holes)):
                    break
            else:
                _crc, kind_length, stream, key, seq, time, mono = RECORD.unpack_from(block, at)
                if kind_length == POINT_HEAD:
                    if left < POINT_SIZE and at and here + POINT_SIZE <= size:
                        break
                    if took := self._points(block, at, items):
                        at += took
                        continue
                else:
                    length = kind_length & LENGTH_MASK
                    if length > left and here + length <= size:
                        if at:
                            break
                        block = pread(self._fd, padded(length), here, holes=self.holes)
                    if is_record(self._fd, here, size, salt, block, at, holes=self.holes):
                        payload = block[at + RECORD.size : at + length]
                        at += padded(length)
                        self._single(kind_length >> 24, stream, key, seq, time, mono, payload, items)
                        continue
            if not final:
                break
            at += self._skip_damage(block[at : at + 8], here, items)
            break
        self.position += at
        return items

    def _skip_damage(self, head: bytes, here: int, items: list[Item]) -> int:
        """The distance from *here* to the next valid record; where there is none, the segment ends."""
        found = next_record(self._fd, here + 8, self.header.size, self.header.salt, holes=self.holes)
        # What a process was writing when it was killed has no checksum yet; that call never returned.
        cut = os.fstat(self._fd).st_size < self.header.size
        if found is not None or cut or any(head[:4]):
            items.append(Damage(here))
        if found is None:
            self.ended = True
            return 0
        return found - here

    def _single(
        self,
        kind: int,
        stream: int,
        key: int,
        seq: int,
        time: int,
        mono: int,
        payload: bytes,
        items: list[Item],
    ) -> None:
        if kind == END:
            self.ended = self.closed = True
            return
        if kind == STREAM:
            try:
                self._streams[stream] = payload[8:].decode(), STREAM_PAYLOAD.unpack_from(payload)[0]
            except UnicodeDecodeError:  # whoever wrote it, its checksum is right
                items.append(Damage(self.position))
            return
        if kind == KEY:
            self._names[key] = payload
            return
        if stream not in self._streams or (kind == SERIES and key not in self._names):
            items.append(Damage(self.position))
            return
        name, base = self._streams[stream]
        if kind == EVENT:
            items.append(EventRecord(name, base + seq, time, mono, payload))
            return
        n, has_times = SERIES_PAYLOAD.unpack_from(payload)
        if len(payload) != SERIES_PAYLOAD.size + n * (24 if has_times else 16):
            items.append(Damage(self.position))
            return
        columns = memoryview(payload)[SERIES_PAYLOAD.size :]
        steps, values = _column("q", columns[: 8 * n]), _column("d", columns[8 * n : 16 * n])
        stamps = _column("q", columns[16 * n : 24 * n]) if has_times else None
        items.append(SeriesRecord(name, base + seq, time, mono, self._names[key], steps, values, stamps))

    def _points(self, block: bytes, at: int, items: list[Item]) -> int:
        """Take the valid points that begin at *at*; their bytes, 0 where the first one is not valid."""
        count = min((len(block) - at) // POINT_SIZE, self._bulk)
        if not count:
            return 0
        run = memoryview(block)[at : at + count * POINT_SIZE]
        columns: tuple[tuple[Any, ...], ...] = tuple(zip(*_POINT.iter_unpack(run), strict=True))
        crcs = tuple(
            map(crc32, chain.from_iterable(_POINT_CHECKED.iter_unpack(run)), repeat(self.header.salt))
        )
        good = count
        if columns[0] != crcs or columns[1].count(POINT_HEAD) != count:
            good = next(
                i
                for i, (said, found, head) in enumerate(zip(columns[0], crcs, columns[1], strict=True))
                if said != found or head != POINT_HEAD
            )
            columns = tuple(column[:good] for column in columns)
        self._bulk = min(self._bulk * 2, _BULK_MOST) if good == count else max(_BULK_LEAST, good)
        if good:
            items.extend(self._runs(columns))
        return good * POINT_SIZE

    def _runs(self, columns: tuple[tuple[Any, ...], ...]) -> Iterator[Item]:
        streams = columns[2]
        if streams.count(streams[0]) == len(streams):
            yield from self._of_stream(streams[0], columns)
            return
        for stream in dict.fromkeys(streams):
            which = [i for i, s in enumerate(streams) if s == stream]
            if len(which) == 1:
                yield from self._of_stream(stream, tuple((column[which[0]],) for column in columns))
            else:
                yield from self._of_stream(stream, tuple(map(itemgetter(*which), columns)))

    def _of_stream(self, stream: int, columns: tuple[tuple[Any, ...], ...]) -> Iterator[Item]:
        _crc, _head, _stream, keys, seqs, times, monos, steps, values = columns
        if stream not in self._streams or not self._names.keys() >= set(keys):
            yield Damage(self.position)
            if stream in self._streams and len(keys) > 1:
                for i in range(len(keys)):
                    if keys[i] in self._names:
                        yield from self._of_stream(stream, tuple((column[i],) for column in columns))
            return
        name, base = self._streams[stream]
        start = 0
        n = len(seqs)
        while start < n:
            stop = n
            if seqs[-1] - seqs[start] != n - 1 - start:
                stop = next((i for i in range(start + 1, n) if seqs[i] != seqs[i - 1] + 1), n)
            part = slice(start, stop)
            yield PointRun(
                name, base + seqs[start], self._names,
                keys[part], times[part], monos[part], steps[part], values[part],
            )  # fmt: skip
            start = stop


def _column(typecode: str, data: memoryview) -> "array[Any]":
    found = array(typecode)
    found.frombytes(data)
    return found
