"""The sessions of a spool: finding them, what is known of each, and its state on the way out.

A session lies in a folder of the current boot, or in one that an earlier boot of the same machine left.

::

    found ──► live ──lock free──► gone ──read to the end, all acknowledged──► drained
                                          ──its end published──► ended ──uploads done, grace over──► removed

Whether its process lives is said by the lock file and nothing else; a pid may be anybody's tomorrow.
"""

import fcntl
import logging
import os
import shutil
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from zlib import crc32

from filelock import FileLock, Timeout

from runstone.sender.link import Link
from runstone.sender.progress import Progress
from runstone.sender.replacing import read_json, replace_json
from runstone.sender.sweeping import sweep
from runstone.sender.tail import Position, Tail
from runstone.spool.layout import ACK, MachineFolder, SessionFolder
from runstone.spool.segment import CRC, HEADER_SIZE

log = logging.getLogger(__name__)

GRACE: Final = 60.0
"""Seconds that acknowledged segments stay: an acknowledgement of the brokers is not an fsync."""

KEPT_MOST: Final = 256 * 1024 * 1024
"""Bytes of acknowledged segments per session above which the grace period is not waited for."""

LIST_AGAIN: Final = 0.2
"""Seconds after which folders that were no sessions yet are looked at again."""

_GONE_PREFIX: Final = ".gone-"


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
        alive: its lock was held when it was looked at last.
        link: to which its unacknowledged slabs were submitted; None where nothing was yet.
        installation: to which it has sent something; it stays with that one.
        broken: reading it failed; it is tried again in a moment.
        outstanding: slabs in order. ended: its end has been published. uploading: artifacts wait.
        elsewhere: it is of an earlier boot, or of another machine.
    """

    def __init__(self, folder: SessionFolder, uri: str) -> None:
        self.folder = folder
        self.id = folder.session
        self.uri = uri
        self.alive = True
        self.link: Link | None = None
        self.outstanding: deque[Outstanding] = deque()
        self.ended = False
        self.ending = False
        self.broken = False
        self.uploading = False
        self.elsewhere = not folder.machine.of_this_boot
        told = read_json(folder.path / "progress.json")
        self.progress = Progress.from_json(told)
        self._next_seqs = {name: stream.next_seq for name, stream in self.progress.streams.items()}
        self._installation = folder.path / "installation"
        self.installation = _text(self._installation)
        self.acknowledged = self._saved = _read_ack(folder, removed=told is not None)
        self.progress.blind = told is None and self.acknowledged.segment > 1
        self.tail = Tail(folder, self.acknowledged, self.progress.replay)
        # The death of the machine may have taken the file.
        self._lock = os.open(folder.lock, os.O_RDWR | os.O_CLOEXEC | os.O_CREAT * self.elsewhere, 0o600)
        self._freed: deque[tuple[float, int]] = deque(
            (time.monotonic() + GRACE, number)
            for number in folder.segment_numbers()
            if number < self.acknowledged.segment
        )

    def close(self) -> None:
        """Close its files."""
        self.tail.close()
        os.close(self._lock)

    def look(self) -> None:
        """See whether the process still lives."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        if self.alive:
            log.info("session %s: its process is gone", self.id)
        self.alive = False

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
        if self._saved == self.acknowledged:
            return
        if self.progress.changed or self._saved.segment != self.acknowledged.segment:
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

    def remove(self) -> None:
        """Remove the folder; it stops being a session before anything in it goes."""
        self.close()
        gone = self.folder.path.with_name(_GONE_PREFIX + self.id)
        self.folder.path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


class Adoption:
    """Finds sessions in this boot's folder whenever one appears, and once in those of earlier boots."""

    def __init__(self, folder: MachineFolder) -> None:
        self._folder = folder
        self._seen_ns = 0
        self._incomplete = False
        self._listed = 0.0
        self._known: set[str] = set()
        self._locks: list[FileLock] = []
        self._earlier = list(self._earlier_boots())

    def close(self) -> None:
        """Give back the folders of earlier boots."""
        for lock in self._locks:
            lock.release()

    def forget(self, session: str) -> None:
        """A session was removed."""
        self._known.discard(session)

    def found(self, *, surely: bool = False) -> Iterator[Session]:
        """Sessions that were not there before. Costs one system call where nothing changed.

        *surely*: look into every folder now, also those that were no sessions a moment ago.
        """
        modified = self._folder.sessions.stat().st_mtime_ns
        # A clock tick may hold two changes, so a folder that changed just now is read again; and what is
        # still missing in a session's folder does not change the folder of them all.
        recent = time.time_ns() - modified < 1_000_000_000
        again = self._incomplete and time.monotonic() - self._listed > LIST_AGAIN
        if modified == self._seen_ns and not (recent or again or surely):
            return
        self._seen_ns = modified
        self._listed = time.monotonic()
        self._incomplete = False
        for machine in (*self._earlier, self._folder):
            yield from self._in(machine)
        self._earlier = []

    def _earlier_boots(self) -> Iterator[MachineFolder]:
        own = self._folder
        machine, _, _boot = own.path.name.rpartition("-")
        if not machine:
            return
        for path in own.path.parent.glob(f"{machine}-*"):
            other = MachineFolder(path)
            if path == own.path or not other.sessions.is_dir() or _text(other.format) != _text(own.format):
                continue
            lock = FileLock(other.sender_lock, thread_local=False)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                # Two machines that were cloned share a machine id and, it seems, a disk: hands off.
                continue
            self._locks.append(lock)
            yield other

    def _in(self, machine: MachineFolder) -> Iterator[Session]:
        for entry in sorted(os.listdir(machine.sessions)):  # noqa: PTH208  # called often, names suffice
            if entry in self._known:
                continue
            if entry.startswith(_GONE_PREFIX):
                shutil.rmtree(machine.sessions / entry, ignore_errors=True)
                continue
            folder = machine.session(entry)
            told = read_json(folder.json)
            if told is None or not isinstance(told.get("uri"), str):
                self._incomplete |= not sweep(folder, machine.sessions / f"{_GONE_PREFIX}{entry}")
                continue
            try:
                session = Session(folder, told["uri"])
            except OSError as wrong:
                log.warning("session %s cannot be read: %s", entry, wrong)
                self._incomplete = True
                continue
            self._known.add(entry)
            log.info("session %s of %s for %s", entry, told.get("program"), told["uri"])
            yield session


def _read_ack(folder: SessionFolder, *, removed: bool) -> Position:
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
