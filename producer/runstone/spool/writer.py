"""Appending records to a session's segments: what every log call ends in.

Any thread of the training process calls in; one re-entrant lock makes them follow one another. A call that
interrupts another one in the same thread (a signal handler, a finaliser) would find that lock open, so:

* `Writer.point`, `Writer.points`, and each single record otherwise, prepares its bytes, then looks whether
  the position is still its own (the map is read first, so what is read after it is of this segment or thrown
  away), and only then stores them and moves the position. Between that look and the move there is no call
  and no backward jump, hence no point at which CPython runs a signal handler or another thread; an exception
  raised by a handler (KeyboardInterrupt) finds a record either stored or not begun.
* Everything rarer (a key's first use, events, a new segment) goes through `Writer._append`, which a nested
  call finds busy; it leaves its record in a list that the outer call works off before it returns.

Record states: ``zeros → body stored → crc stored``; a reader takes only the last for a record.

A stream is in one of three states towards the current segment: *defined* (the quick way is open), *not
defined* (the next record defines it), *refusing* (the spool was full: its points take a seq each and are
not stored; the next record of it that is stored is preceded by a ``range_declared``). What is refused is told
to `refused.RefusedFile` at each call, so that a process that is killed leaves it to the sender.

The last `reserve` bytes of a segment are for what is no point, when no further segment can be had: so params,
tags and the end of a run have room on a full disk too.

After a fork the child calls `forget`: it gets a session of its own, all seqs begin again at 0.
"""

import errno
import mmap
import os
import threading
from collections.abc import Callable, Sequence
from itertools import count as count_from
from time import monotonic_ns, time_ns
from typing import Final
from zlib import crc32

import orjson

from runstone.events import limits
from runstone.events.types import Event, RangeDeclared, SeriesKey, to_json
from runstone.exceptions import InvalidInputError, RunEndedError
from runstone.inputs import check_series_key
from runstone.spool import forking
from runstone.spool.allocation import SegmentFile
from runstone.spool.segment import (
    CRC,
    END,
    EVENT,
    HEADER_SIZE,
    INDEX_MAX,
    KEY,
    POINT,
    POINT_BODY,
    POINT_HEAD,
    POINT_PAYLOAD,
    POINT_SIZE,
    RECORD,
    SERIES,
    STREAM,
    STREAM_PAYLOAD,
    pack_record,
    padded,
)

SECOND_NS: Final = 1_000_000_000

LOCK_S: Final = 0.5
"""How long a signal handler waits for another thread's record, which takes microseconds."""

RESERVE_MOST: Final = 64 * limits.KIB
"""Bytes at a segment's end that only records other than points may use: some 400 params and tags."""

_pack_body = POINT_BODY.pack
_pack_crc = CRC.pack
_NO_CRC: Final = bytes(CRC.size)
_END_SIZE: Final = RECORD.size


class Stream:
    """What this process appends to one stream of the ledger.

    Attributes:
        base, next: the next record's seq is their sum; ``base`` is what the segment's STREAM record says.
        defined_in: the number of the segment that defines ``index``; 0 where none does.
        open_in: the same while points may take the quick way, else 0.
        closed: True once the run has ended: only late events are taken.
        refused: points since ``refused_from`` that the spool had no room for and nobody has declared yet.
        prologue: the event that must come first where a process joins a stream it did not begin.
    """

    __slots__ = (
        "base", "closed", "defined_in", "index", "name", "next", "open_in", "prologue", "refused",
        "refused_from",
    )  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.base = 0
        self.next = 0
        self.index = 0
        self.defined_in = 0
        self.open_in = 0
        self.closed = False
        self.refused = 0
        self.refused_from = 0
        self.prologue: Callable[[], Event] | None = None

    @property
    def next_seq(self) -> int:
        """The seq of the record that is appended next; what lies before it has been taken."""
        return self.base + self.next


class Writer:
    """The appending end of a session.

    Args:
        next_segment: makes the segment of a number for a record of so many bytes; the last argument says
            that the record may use the reserved share. None: there is no room for it now.
        session: the session's id, once there is a segment.
        check: called about once a second by a thread that appends, without the lock.
        full: called with the reason when the spool begins to refuse.
        refused: called with what is refused of a stream and not declared: its name, the first seq, how many.

    Attributes:
        asleep: its first byte is 1 while the sender sleeps. wake: wakes it.
        dead: there is nowhere to write; every call does nothing.
    """

    def __init__(
        self,
        next_segment: Callable[[int, int, bool], SegmentFile | None],
        session: Callable[[], str],
        check: Callable[[], None],
        full: Callable[[str], None],
        refused: Callable[[str, int, int], None],
    ) -> None:
        self._next_segment = next_segment
        self._session = session
        self._check = check
        self._on_full = full
        self._note_refused = refused
        self._lock = threading.RLock()
        forking.hold_over_forks(self._lock)
        self._streams: dict[str, Stream] = {}
        self.asleep: mmap.mmap | bytearray = bytearray(1)
        self.wake: Callable[[], None] = _nothing
        self.dead = False
        self._begin()

    def _begin(self) -> None:
        self._busy = False
        self._deferred: list[tuple[int, Stream, str | SeriesKey | None, bytes, bool, int | None]] = []
        self._segment: SegmentFile | None = None
        self._memory: mmap.mmap | None = None
        self._number = 0
        self._salt = 0
        self._at = 0
        self._limit = 0  # where points must end; 0 closes the quick way
        self._keys: dict[str | SeriesKey, int] = {}
        self._defined = 0
        self._full = False
        self._retry_ns = 0
        self._check_ns = 0

    def stream(self, name: str) -> Stream:
        """The stream of that name; the same object each time."""
        with self._lock:
            return self._streams.setdefault(name, Stream(name))

    def point(
        self, stream: Stream, key: str | SeriesKey, value: float, step: int, time: int | None = None
    ) -> None:
        """Append one point.

        Args:
            stream: whose it is.
            key: of the metric; a `SeriesKey` where the point is of a model or a dataset.
            value: a double.
            step: a signed 64-bit integer.
            time: ns since 1970 below 2**64; without it the clock's.

        Raises:
            InvalidInputError: *key* is none.
            struct.error, TypeError: *step*, *value* or *key* is not of its type; nothing was written.
            RunEndedError: the stream is closed.
        """
        with self._lock:
            while True:
                memory = self._memory
                at = self._at
                index = self._keys.get(key)
                end = at + POINT_SIZE
                now = monotonic_ns()
                if index is None:
                    check_series_key(key)
                if index is None or stream.open_in != self._number or end > self._limit:
                    self._append(POINT, stream, key, POINT_PAYLOAD.pack(step, value), False, time)
                    break
                stamp = time_ns() if time is None else time
                body = _pack_body(POINT_HEAD, stream.index, index, stream.next, stamp, now, step, value)
                crc = _pack_crc(crc32(body, self._salt))
                if (
                    self._at == at
                    and memory is not None
                    and self._memory is memory
                    and stream.open_in == self._number
                ):
                    memory[at + 4 : end] = body
                    memory[at : at + 4] = crc
                    self._at = end
                    stream.next += 1
                    break
        if self.asleep[0]:
            self.wake()
        if now > self._check_ns:
            self._check_ns = now + SECOND_NS
            self._check()

    def points(self, stream: Stream, keys: Sequence[str], values: Sequence[float], step: int) -> bool:
        """Append a point of each key, all of this moment: quicker than as many calls of `point`.

        The bodies are stored at once, then the checksums in their order, so that an end in between leaves the
        first points and no hole.

        Returns:
            False: nothing was written, because some key is new (so it has not been checked), the segment has
            no room for all, or the stream is closed; `point` deals with it.

        Raises:
            struct.error, TypeError: *step* or a value is not of its type; nothing was written.
        """
        count = len(keys)
        with self._lock:
            while True:
                memory = self._memory
                at = self._at
                end = at + count * POINT_SIZE
                indices = list(map(self._keys.get, keys))
                now = monotonic_ns()
                stamp = time_ns()
                if memory is None or None in indices or stream.open_in != self._number or end > self._limit:
                    return False
                salt = self._salt
                bodies = [
                    _pack_body(POINT_HEAD, stream.index, index, seq, stamp, now, step, value)
                    for seq, index, value in zip(count_from(stream.next), indices, values, strict=False)
                ]
                records = _NO_CRC + _NO_CRC.join(bodies)
                crcs = memoryview(b"".join([_pack_crc(crc32(body, salt)) for body in bodies])).cast("I")
                try:
                    places = memoryview(memory).cast("I")[at // 4 : end // 4 : POINT_SIZE // 4]
                except ValueError:  # a call that interrupted this one has closed the segment
                    continue
                if self._at == at and self._memory is memory and stream.open_in == self._number:
                    memory[at:end] = records
                    places[:] = crcs
                    self._at = end
                    stream.next += count
                    break
        self.attend()
        return True

    def event(self, stream: Stream, event: Event, *, late: bool = False) -> None:
        """Append an event other than a series; it may use the reserved share. *late*: even when closed.

        Raises:
            InvalidInputError: it is larger than an event may be.
            RunEndedError: the stream is closed.
        """
        payload = orjson.dumps(to_json(event))
        if len(payload) > limits.EVENT_MAX:
            raise InvalidInputError(
                f"{event.TYPE} has {len(payload)} bytes; at most {limits.EVENT_MAX} are allowed"
            )
        with self._lock:
            if stream.closed and not late:
                raise ended(stream)
            self._append(EVENT, stream, None, payload, True)
        self.attend()

    def series(self, stream: Stream, key: str | SeriesKey, payload: bytes) -> None:
        """Append a SERIES record. The key must have been checked.

        Raises:
            RunEndedError: the stream is closed.
        """
        with self._lock:
            if stream.closed:
                raise ended(stream)
            self._append(SERIES, stream, key, payload, False)
        self.attend()

    def touch(self, stream: Stream) -> None:
        """Append what a stream that this process joined must begin with, so that the session is there."""
        with self._lock:
            self._append(EVENT, stream, None, b"", True)

    def attend(self) -> None:
        """Wake the sender where it sleeps, and do the check where a second has passed."""
        if self.asleep[0]:
            self.wake()
        now = monotonic_ns()
        if now > self._check_ns:
            self._check_ns = now + SECOND_NS
            self._check()

    def close(self, stream: Stream) -> None:
        """Take nothing more for *stream* but late events."""
        with self._lock:
            stream.closed = True
            stream.open_in = 0

    def reopen(self, stream: Stream) -> None:
        """Take records again: the run was resumed in the process that ended it."""
        with self._lock:
            stream.closed = False

    def position(self) -> tuple[int, int]:
        """Segment number and position behind all that was appended so far; refused points are declared."""
        with self._lock:
            for stream in list(self._streams.values()):
                if stream.refused:
                    self._append(EVENT, stream, None, b"", True)
            return self._number, self._at

    @property
    def number(self) -> int:
        """Of the segment that is written to; 0 where there is none yet."""
        return self._number

    @property
    def undeclared(self) -> bool:
        """Whether something was refused and even its declaration found no room."""
        return any(stream.refused for stream in self._streams.values())

    def finish(self) -> None:
        """Write END: a reader that gets there without damage has seen all. A later record opens a segment."""
        with self._lock:
            if self._busy or self._segment is None:
                return
            try:
                self._put(END, 0, 0, None, b"", forking.generation)
            except OSError:
                return
            segment, self._segment = self._segment, None
            self._memory = None
            self._limit = 0
            segment.close()

    def interruptible(self) -> bool:
        """Whether a signal handler may append: it has not interrupted the making of a record or segment."""
        if not self._lock.acquire(timeout=LOCK_S):
            return False
        try:
            return not self._busy
        finally:
            self._lock.release()

    def forget(self) -> None:
        """In the child after a fork: leave the parent's segment alone and begin anew."""
        forking.renew(self._lock)
        segment, self._segment = self._segment, None
        self._begin()
        self._streams = {name: stream for name, stream in self._streams.items() if not stream.closed}
        for stream in self._streams.values():
            stream.base = stream.next = stream.refused = 0
            stream.defined_in = stream.open_in = 0
        if segment is not None:
            segment.close()

    def _append(
        self,
        kind: int,
        stream: Stream,
        key: str | SeriesKey | None,
        payload: bytes,
        vital: bool,
        time: int | None = None,
    ) -> None:
        """Append any record, the lock being held. *vital*: it may use the reserved share.

        An empty *payload* only declares what was refused.
        """
        if stream.closed and kind == POINT:
            raise ended(stream)
        self._deferred.append((kind, stream, key, payload, vital, time))
        if self._busy:
            return
        self._busy = True
        try:
            while self._deferred:
                self._append_now(*self._deferred.pop(0))
        finally:
            self._busy = False

    def _append_now(
        self,
        kind: int,
        stream: Stream,
        key: str | SeriesKey | None,
        payload: bytes,
        vital: bool,
        time: int | None = None,
    ) -> None:
        if self._full and monotonic_ns() > self._retry_ns:
            self._roll(POINT_SIZE)
        if stream.prologue is not None and stream.next_seq == 0:
            prologue, stream.prologue = stream.prologue, None
            self._append_now(EVENT, stream, None, orjson.dumps(to_json(prologue())), True)
        if stream.refused and (vital or not self._full):
            self._declare(stream)
        if not payload or self.dead:
            return
        declared = stream.refused == 0
        taken = vital or not self._full
        if not (taken and declared and self._store(kind, stream, key, payload, vital, time)):
            self._refuse(stream)

    def _refuse(self, stream: Stream) -> None:
        """Count a record that is not stored; it takes a seq, so that the ledger shows the hole."""
        if stream.refused == 0:
            stream.base, stream.next = stream.next_seq, 0
            stream.refused_from = stream.base
            stream.defined_in = stream.open_in = 0
        stream.refused += 1
        stream.base += 1
        self._note_refused(stream.name, stream.refused_from, stream.refused)

    def _declare(self, stream: Stream) -> None:
        declared = RangeDeclared(
            session=self._session(),
            first_seq=stream.refused_from,
            count=stream.refused,
            kind="dropped",
            time=time_ns() // 1_000_000,
            reason="the spool had no room",
        )
        if self._store(EVENT, stream, None, orjson.dumps(to_json(declared)), True):
            stream.refused = 0
            self._note_refused(stream.name, 0, 0)

    def _store(
        self,
        kind: int,
        stream: Stream,
        key: str | SeriesKey | None,
        payload: bytes,
        vital: bool,
        time: int | None = None,
    ) -> bool:
        """Store a record behind the definitions it needs. False: there is no room for it."""
        name = stream.name.encode()
        key_payload = b"" if key is None else orjson.dumps(list(key) if type(key) is SeriesKey else key)
        record = padded(RECORD.size + len(payload))
        # A definition is written twice: a damaged place does not cost the records that refer to it.
        stream_records = 2 * padded(RECORD.size + STREAM_PAYLOAD.size + len(name))
        key_records = 2 * padded(RECORD.size + len(key_payload))
        generation = forking.generation
        try:
            while True:
                generation = forking.generation
                segment = self._segment
                new_stream = segment is None or stream.defined_in != self._number
                new_key = key is not None and key not in self._keys
                crowded = (self._defined if new_stream else len(self._keys)) >= INDEX_MAX
                crowded = crowded and (new_stream or new_key)
                end = self._at + stream_records * new_stream + key_records * new_key + record
                if segment is None or crowded or end > segment.size - reserve(segment.size):
                    need = stream_records + key_records + record
                    if self._roll(need):
                        continue
                    if not vital:
                        return False
                    if segment is None or crowded or end > segment.size:
                        if self._roll(need, reserved=True):
                            continue
                        return False
                if new_stream:
                    self._define_stream(stream, name, generation)
                elif new_key and key is not None:
                    index = len(self._keys) + 1
                    if self._put(KEY, 0, index, None, key_payload, generation):
                        self._keys[key] = index
                        self._put_again(KEY, 0, index, key_payload, generation)
                else:
                    index = 0 if key is None else self._keys.get(key, -1)
                    if index < 0:  # a handler has forked since: no key is defined in the child yet
                        continue
                    if self._put(kind, stream.index, index, stream, payload, generation, time):
                        return True
        except OSError as wrong:
            if forking.generation != generation:  # of the parent's file: a handler has forked meanwhile
                return self._store(kind, stream, key, payload, vital, time)
            self._enter_full(str(wrong))
            return False

    def _define_stream(self, stream: Stream, name: bytes, generation: int) -> None:
        base = stream.next_seq
        index = self._defined + 1
        if self._put(STREAM, index, 0, None, STREAM_PAYLOAD.pack(base) + name, generation):
            self._defined = index
            stream.base, stream.next, stream.index = base, 0, index
            stream.defined_in = self._number
            stream.open_in = 0 if stream.closed else self._number
            self._put_again(STREAM, index, 0, STREAM_PAYLOAD.pack(base) + name, generation)

    def _put_again(self, kind: int, index: int, key: int, payload: bytes, generation: int) -> None:
        try:
            self._put(kind, index, key, None, payload, generation)
        except OSError:
            pass  # the first one is there

    def _put(
        self,
        kind: int,
        index: int,
        key: int,
        counted: Stream | None,
        payload: bytes,
        generation: int,
        time: int | None = None,
    ) -> bool:
        """Store one record at the position. False: the segment has no room for it (any more).

        *counted*: the stream of which it takes a seq. *time*: the record's time, without it the clock's.
        *generation*: in which *index* and *key* were found; in a child they are others, and it is False.

        Raises:
            OSError: the file is not mapped, and writing failed.
        """
        while True:
            segment, at = self._segment, self._at
            end = at + padded(RECORD.size + len(payload))
            if segment is None or end > segment.size:
                return False
            seq = 0 if counted is None else counted.next
            stamp = time_ns() if time is None else time
            record = pack_record(segment.salt, kind, index, key, seq, stamp, monotonic_ns(), payload)
            if forking.generation != generation:
                return False
            memory = segment.memory
            if memory is None:
                # Moved first: an exception that a signal handler raises behind the write must not let the
                # next record take this place, which a reader may have read already.
                self._at = end
                if counted is not None:
                    counted.next += 1
                self._write(segment, at, counted, record)
                return True
            if self._at != at or self._segment is not segment:
                continue
            memory[at + 4 : end] = record[4:]
            memory[at : at + 4] = record[:4]
            self._at = end
            if counted is not None:
                counted.next += 1
            return True

    def _write(self, segment: SegmentFile, at: int, counted: Stream | None, record: bytes) -> None:
        """Store a record where the segment is not mapped, or take the position back to *at*."""
        try:
            _write_all(segment.descriptor, record, at)
        except OSError:
            if self._segment is segment:
                self._at = at
                if counted is not None:
                    counted.next -= 1
            raise
        except BaseException:  # raised by a handler before or behind the write
            os.pwrite(segment.descriptor, record, at)
            raise

    def _roll(self, need: int, *, reserved: bool = False) -> bool:
        """Go on in a new segment with room for *need* bytes. False: there is no space for it.

        *reserved*: what the spool keeps above its limit may be used, by what is no point.
        """
        if self.dead or (self._full and not reserved and monotonic_ns() <= self._retry_ns):
            return False
        number = self._number + 1
        generation = forking.generation
        segment = self._next_segment(number, HEADER_SIZE + need + need // 3 + 1, reserved)
        if forking.generation != generation:
            return self._roll_in_child(segment, need, reserved)
        if segment is None:
            self._enter_full()
            return False
        self._full = reserved
        old, keys = self._segment, dict[str | SeriesKey, int]()
        limit = 0 if self._full or segment.memory is None else segment.size - reserve(segment.size)
        try:
            self._put(END, 0, 0, None, b"", forking.generation)
        except OSError as wrong:
            # Without it no reader goes on: the old segment stays, and the new one is made again later.
            segment.close()
            self._enter_full(str(wrong))
            return False
        if forking.generation != generation:
            return self._roll_in_child(segment, need, reserved)
        self._segment = segment
        self._memory = segment.memory
        self._salt = segment.salt
        self._number = number
        self._limit = limit
        self._keys = keys
        self._defined = 0
        self._at = HEADER_SIZE
        if old is not None:
            old.close()
        return True

    def _roll_in_child(self, parents: SegmentFile | None, need: int, reserved: bool) -> bool:
        """Begin anew: a signal handler has forked meanwhile, and this is the child."""
        if parents is not None:
            parents.close()
        return self._roll(need, reserved=reserved)

    def _enter_full(self, reason: str = "") -> None:
        self._retry_ns = monotonic_ns() + SECOND_NS
        self._limit = 0
        if not self._full and not self.dead:
            self._full = True
            self._on_full(reason)


def _write_all(descriptor: int, record: bytes, at: int) -> None:
    if os.pwrite(descriptor, record, at) != len(record):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def reserve(size: int) -> int:
    """Bytes at the end of a segment of *size* that only records other than points may use."""
    return min(RESERVE_MOST, size // 4)


def ended(stream: Stream) -> RunEndedError:
    """What a call on a closed stream raises."""
    return RunEndedError(
        f"run {stream.name} has ended and takes nothing more; "
        f"resume it with start_run(run_id={stream.name!r})"
    )


def _nothing() -> None:
    """Wake nobody: there is no sender to wake yet."""
