"""Follows the segments of one session from a position, slab by slab.

A slab is what one reading gave: records and the position behind them. Slabs begin small and grow while the
session is ahead of us, so that one new point costs a small read and a backlog is read in large ones.
"""

import errno
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from runstone.events.limits import KIB
from runstone.spool.layout import SessionFolder
from runstone.spool.reader import Damage, Item, PointRun, SegmentReader
from runstone.spool.segment import HEADER_SIZE, RECORD

log = logging.getLogger(__name__)

SLAB_LEAST: Final = 8 * KIB
SLAB_MOST: Final = 384 * KIB
"""Bytes read at once: 8192 points, which fill one envelope of `limits.ENVELOPE_USUAL`."""

_REPLAY: Final = 1024 * KIB

PATIENCE: Final = 60.0
"""Seconds after which a disk that says EIO is believed: a network file system says so for a while as well."""


class Position(NamedTuple):
    """A place in a session: everything before it in segment order."""

    segment: int
    offset: int


@dataclass(slots=True)
class Slab:
    """Items in order of each stream, the position behind them, and the bytes they took in the spool.

    ``closed``: the writer's END was the last of them.
    """

    items: list[Item]
    end: Position
    size: int
    closed: bool = False


class Tail:
    """Reads on from a position; used by one task.

    Attributes:
        position: of what is read next. finished: with ``final``, nothing is left to read.
        written_ms: when the latest record was written that this tail has read, 0 where it has read none. By
            CLOCK_MONOTONIC since its segment was made, for a point's own time may be any.
    """

    def __init__(
        self, folder: SessionFolder, start: Position, replayed: Callable[[list[Item]], object]
    ) -> None:
        """Begin at *start*; *replayed* is shown what lies before it in the same segment."""
        self._folder = folder
        self._replayed = replayed
        self.position = start
        self.finished = False
        self.written_ms = 0
        self._reader: SegmentReader | None = None
        self._want = SLAB_LEAST
        self._lost = False
        self._unreadable_since: float | None = None
        self._holes = False

    def close(self) -> None:
        """Close the segment; the tail may be read on."""
        if self._reader:
            self._reader.close()
            self._reader = None

    def has_more(self) -> bool:
        """Whether reading is worth while: costs a system call, may be wrong for a moment in either way."""
        if self._reader:
            try:
                return self._reader.has_more()
            except OSError:
                return True  # reading says what is wrong
        return not self.finished and self._folder.segment(self.position.segment).exists()

    def read(self, most: int = SLAB_MOST, *, final: bool = False) -> Slab | None:
        """The next slab, None where there is nothing now.

        Args:
            most: bytes, unless a single record is larger.
            final: the process is gone: what is unreadable is damage, and the end is the end.

        Raises:
            OSError: a segment that is there cannot be read now; nothing was skipped. Where the disk has
                failed to give it for `PATIENCE` and nobody writes to it any more, what it does not give is
                damage from then on.
        """
        try:
            slab = self._read(most, final)
        except OSError as wrong:
            if final and wrong.errno == errno.EIO:
                self._be_patient()
            raise
        self._unreadable_since = None
        return slab

    def _be_patient(self) -> None:
        now = time.monotonic()
        if self._unreadable_since is None:
            self._unreadable_since = now
        if now - self._unreadable_since > PATIENCE and not self._holes:
            log.error("session %s: the disk does not give some of it any more", self._folder.session)
            self._holes = True
            if self._reader:
                self._reader.holes = True

    def _read(self, most: int, final: bool) -> Slab | None:
        while True:
            reader = self._reader or self._open(final)
            if reader is None:
                if self.finished and self._lost:
                    self._lost = False
                    return Slab([Damage(0)], self.position, 0)
                return None
            before = reader.position
            want = min(most, self._want)
            items = reader.read(want, final=final)
            if not items and reader.position == before and not reader.ended and self._passed():
                items = reader.read(want, final=True)
            size = reader.position - before
            self._note_time(reader, items)
            self._want = min(SLAB_MOST, self._want * 4) if 4 * size > 3 * self._want else SLAB_LEAST
            if self._lost:
                items.insert(0, Damage(before))
                self._lost = False
            self.position = Position(self.position.segment, reader.position)
            if reader.ended:
                self.close()
                self.position = Position(self.position.segment + 1, HEADER_SIZE)
            if size or items:
                return Slab(items, self.position, size, reader.closed)
            if not reader.ended:
                return None

    def _note_time(self, reader: SegmentReader, items: list[Item]) -> None:
        monos = [
            item.monos[-1] if isinstance(item, PointRun) else item.mono
            for item in items
            if not isinstance(item, Damage)
        ]
        if monos:
            made = reader.header
            written = (made.created_ns + max(monos) - made.created_mono_ns) // 1_000_000
            self.written_ms = max(self.written_ms, written)

    def _passed(self) -> bool:
        """Whether the writer has gone on to the next segment: what it left in this one is all there is."""
        try:
            with self._folder.segment(self.position.segment + 1).open("rb", buffering=0) as following:
                return any(os.pread(following.fileno(), RECORD.size, HEADER_SIZE)[:4])
        except FileNotFoundError:
            return False

    def _open(self, final: bool) -> SegmentReader | None:
        while True:
            number, offset = self.position
            try:
                reader = SegmentReader(self._folder.segment(number), holes=self._holes)
                break
            except (FileNotFoundError, ValueError) as wrong:
                later = [n for n in self._folder.segment_numbers() if n > number]
                if not later and (not final or isinstance(wrong, FileNotFoundError)):
                    self.finished = final
                    return None
                log.warning(
                    "%s is lost: %s. What it held is declared as damaged in the runs; "
                    "'runstone spool verify %s' tells more",
                    self._folder.segment(number), wrong, self._folder.path,
                )  # fmt: skip
                self._lost = True
                self.position = Position(later[0] if later else number + 1, HEADER_SIZE)
        try:
            while reader.position < offset and not reader.ended:
                # Acknowledged already; read once more for the names of streams and series.
                before = reader.position
                items = reader.read(min(_REPLAY, offset - before), final=final)
                self._note_time(reader, items)
                self._replayed(items)
                if reader.position == before:
                    break
        except OSError:
            reader.close()
            raise
        if reader.position < offset and not final:
            reader.close()
            return None
        # A hole that begins before the position may have taken what comes after it.
        self._lost |= reader.position > offset
        self._reader = reader
        return reader
