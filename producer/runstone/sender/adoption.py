"""A session that was adopted: what is known of it, and its state on the way out.

::

    adopted ──► live ──lock free──► gone ──read to the end, all acknowledged──► drained
                                            ──its end published──► ended ──uploads done──► over

Whether its process lives is said by the lock file and nothing else; a pid may be anybody's tomorrow.
"""

import errno
import fcntl
import logging
import os
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from zlib import crc32

from runstone.sender.link import Link
from runstone.sender.progress import Progress
from runstone.sender.replacing import read_json, replace_json
from runstone.sender.tail import Position, Tail
from runstone.spool.layout import ACK, SessionFolder
from runstone.spool.locks import is_held
from runstone.spool.segment import CRC, HEADER_SIZE

log = logging.getLogger(__name__)

GRACE: Final = 60.0
"""Seconds that acknowledged segments stay: an acknowledgement of the brokers is not an fsync."""

KEPT_MOST: Final = 256 * 1024 * 1024
"""Bytes of acknowledged segments per session above which the grace period is not waited for."""


@dataclass(slots=True, eq=False)
class Outstanding:
    """What is left of a slab that was submitted.

    Attributes:
        end: the position behind it. size: its bytes in the spool.
        pending: how many of its envelopes are not acknowledged yet.
        next_seqs: which seqs come next behind it, of the streams that it has records of.
    """

    end: Position
    size: int
    pending: int
    next_seqs: dict[str, int] = field(default_factory=dict)


class Session:
    """One writing process and one destination; used on the sender's loop.

    Attributes:
        logged_for: the tracking URI that its process was given.
        program: what its process calls itself. alive: its lock was held when it was looked at last.
        gone_ms: when that changed before our eyes; 0 where it lives, or was gone when it was found.
        link: to which its unacknowledged slabs were submitted; None where nothing was yet.
        installation: to which it has sent something; it stays with that one.
        bound_installation: the same, as it was when it was adopted.
        broken: reading it failed, or remembering its end; it is tried again in a moment.
        outstanding: slabs in order. ended: its end has been published. uploading: artifacts wait.
        ended_in: the streams that this sender has published its end in.
        elsewhere: it is of an earlier boot, or of another machine.
    """

    def __init__(self, folder: SessionFolder, uri: str) -> None:
        self.folder = folder
        self.id = folder.session
        self.uri = uri
        self.logged_for = uri
        self.program = ""
        self.alive = True
        self.gone_ms = 0
        self._watched = False
        self.link: Link | None = None
        self.outstanding: deque[Outstanding] = deque()
        self.ended = False
        self.ended_in: set[str] = set()
        self.ending = False
        self.broken = False
        self.uploading = False
        self.elsewhere = not folder.machine.of_this_boot
        told = read_json(folder.path / "progress.json")
        known = None if told is None else Progress.from_json(told)
        self.progress = known or Progress()
        self._next_seqs = {name: stream.next_seq for name, stream in self.progress.streams.items()}
        self._installation = folder.path / "installation"
        self.installation = self.bound_installation = _text(self._installation)
        self.acknowledged = self._saved = read_ack(folder, removed=known is not None)
        self.progress.blind = known is None and self.acknowledged.segment > 1
        self.tail = Tail(folder, self.acknowledged, self.progress.replay)
        self._lock = _open_lock(folder.lock, make=self.elsewhere)
        self._freed: deque[tuple[float, int]] = deque(
            (time.monotonic() + GRACE, number)
            for number in folder.segment_numbers()
            if number < self.acknowledged.segment
        )

    def close(self) -> None:
        """Close its files."""
        self.tail.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def look(self) -> None:
        """See whether the process still lives; it never comes back."""
        if not self.alive:
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._watched = True
            return
        if self._watched:
            self.gone_ms = time.time_ns() // 1_000_000
        log.info("session %s: its process is gone", self.id)
        self.alive = False
        os.close(self._lock)  # and with it the lock
        self._lock = -1

    @property
    def written_ms(self) -> int:
        """When the latest record was written that was read of it; 0 where that is not known."""
        return max(self.progress.written_ms, self.tail.written_ms)

    @property
    def saved(self) -> bool:
        """Whether the acknowledged position has been written down."""
        return self._saved == self.acknowledged

    @property
    def over(self) -> bool:
        """Whether nothing is left to be done for it."""
        return self.ended and not self.uploading

    @property
    def clean(self) -> bool:
        """Whether all that the process wrote is known to have been read; asked once it is drained.

        A machine that died may have taken what was not synced, without a trace behind the last record.
        """
        whole = not self.elsewhere or self.progress.closed or self.folder.settled.exists()
        return whole and not self.progress.damaged

    @property
    def drained(self) -> bool:
        """The process is gone and every record it left is acknowledged."""
        return not self.alive and self.tail.finished and not self.outstanding

    def attach(self, link: Link) -> bool:
        """Make *link* the one to submit to, none outstanding; False: not now.

        It is not the session's installation, or the disk does not take down which that is.
        """
        if self.link is not None:
            # The old link's futures are void, so begin again behind the last acknowledgement.
            self.link = None
            self.progress.written_ms = self.written_ms
            self.tail.close()
            self.progress.rewind(self._next_seqs)
            self.tail = Tail(self.folder, self.acknowledged, self.progress.replay)
        installation = link.connect.installation_id
        if not self.installation:
            try:
                self._installation.write_text(installation)
            except OSError as wrong:
                log.warning("session %s waits: %s", self.id, wrong)
                return False
            self.installation = installation
        if self.installation != installation:
            return False
        self.link = link
        return True

    def advance(self) -> None:
        """Move the acknowledged position over what is complete from the front, and `save` it."""
        while self.outstanding and not self.outstanding[0].pending:
            done = self.outstanding.popleft()
            self.acknowledged = done.end
            self._next_seqs |= done.next_seqs
        self.save()

    def save(self) -> None:
        """Write the acknowledged position down, unless it was. Raises OSError where the disk refuses."""
        if self.saved:
            return
        if self.progress.changed or self._saved.segment != self.acknowledged.segment:
            self.progress.written_ms = self.written_ms
            replace_json(self.folder.path / "progress.json", self.progress.to_json(self._next_seqs))
            self.progress.changed = False
        _write_ack(self.folder.ack, self.acknowledged)
        for number in range(self._saved.segment, self.acknowledged.segment):
            self._freed.append((time.monotonic() + GRACE, number))
        self._saved = self.acknowledged

    def remove_acknowledged(self, *, short: bool = False) -> None:
        """Remove segments that were acknowledged long enough ago, or that are too many.

        *short*: a process has no room to write in, so none is kept.
        """
        kept = sum(size for _due, number in self._freed if (size := _size(self.folder.segment(number))))
        while self._freed and (short or self._freed[0][0] < time.monotonic() or kept > KEPT_MOST):
            path = self.folder.segment(self._freed.popleft()[1])
            kept -= _size(path)
            path.unlink(missing_ok=True)

    @property
    def quiet_seconds(self) -> float:
        """How long ago the last acknowledgement or end was written, by the clock of the disk's files."""
        last = max(_modified(self.folder.ack), _modified(self.folder.ended), _modified(self.folder.json))
        return time.time() - last


def lives(folder: SessionFolder) -> bool:
    """Whether the process of a session that has announced itself lives."""
    try:
        return is_held(folder.lock)
    except FileNotFoundError:
        return False


def _open_lock(path: Path, *, make: bool) -> int:
    """*make*: where it is missing: the death of the machine may have taken it."""
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_CREAT * make, 0o600)
    except OSError as wrong:
        if wrong.errno not in {errno.EROFS, errno.EACCES}:
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def read_ack(folder: SessionFolder, *, removed: bool) -> Position:
    """The acknowledged position. *removed*: the first segments may have been, having been acknowledged."""
    try:
        found = folder.ack.read_bytes()
    except FileNotFoundError:
        found = b""
    if len(found) == ACK.size and crc32(found[4:]) == CRC.unpack_from(found)[0]:
        return Position(*ACK.unpack(found)[1:])
    if found:
        log.warning("%s is damaged: all segments that are there are sent again", folder.ack)
    return Position(min(folder.segment_numbers(), default=1) if removed else 1, HEADER_SIZE)


def _write_ack(path: Path, position: Position) -> None:
    body = ACK.pack(0, *position)[4:]
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(descriptor, CRC.pack(crc32(body)) + body, 0)
    finally:
        os.close(descriptor)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
