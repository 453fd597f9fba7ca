"""One writing process and one destination: the session's folder, its lock, its segments, its uploads.

Made by the first record that is appended, so that importing and configuring write nothing. Everything here
runs in the training process's threads; `Session.next_segment` with the writer's lock held.

After a fork the child calls `Session.forget`, which closes the inherited lock (it would keep a dead parent
alive) and leaves the folder alone; the child's first record makes a session of its own.
"""

import contextlib
import errno
import fcntl
import mmap
import os
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final
from zlib import crc32

import orjson

from runstone import notices
from runstone.events.identity import new_session_id
from runstone.events.limits import KIB, MIB
from runstone.inputs import clean
from runstone.spool import forking, standard_streams
from runstone.spool.allocation import SegmentFile, allocation_binds, create_segment
from runstone.spool.artifact_room import ARTIFACT_LIMIT, ArtifactRoom
from runstone.spool.file_systems import NETWORK, file_system_of
from runstone.spool.forking import no_fork
from runstone.spool.launch import Launcher
from runstone.spool.layout import (
    ACK,
    CAUSE_SIZE,
    SHORT,
    MachineFolder,
    SessionFolder,
    avoided_state_folder,
    default_roots,
    this_machine,
)
from runstone.spool.ordered_uploads import OrderedUploads
from runstone.spool.refused import RefusedFile
from runstone.spool.usage import Usage
from runstone.spool.writer import Writer

FIRST_SIZE: Final = 64 * KIB
"""Small, because an offline machine may keep the sessions of many thousand short processes."""
GROWTH: Final = 4
LARGEST_SIZE: Final = 16 * MIB
PAUSE_S: Final = 0.001
PAUSE_MOST_S: Final = 0.05
"""Between two looks at what the sender has acknowledged, the first and the longest."""

RESERVED: Final = 4 * MIB
"""Bytes above the spool's limit that params, tags and ends may still use."""

PASSING: Final = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EAGAIN),
    *(errno.EINTR, errno.EBUSY, errno.ENOLCK, errno.ESTALE, errno.ETIMEDOUT),
}
"""Why a session may fail to begin now and begin later; any other fault lasts."""

ANSWERED_MS: Final = 20_000
"""So long ago at most was an answer of the server that still counts; senders ask every 15 s."""


def _nothing() -> None:
    """Nobody wants to know."""


class Session:
    """What a process appends for one destination.

    Attributes:
        uri: the destination. writer: appends to its streams. launcher: keeps a sender alive.
        folder: the session's files; None as long as nothing was appended.
        artifact_room: the room that files to be uploaded have.
        uploads: those that were ordered here. disabled: whatever is appended is dropped on purpose.
    """

    def __init__(
        self,
        root: Path,
        uri: str,
        *,
        limit: int,
        offline: bool,
        disabled: bool = False,
        artifact_limit: int = ARTIFACT_LIMIT,
        opened: Callable[[], None] = _nothing,
    ) -> None:
        self.uri = uri
        self._opened = opened
        self._root = root
        self._limit = limit
        self._machine: MachineFolder = this_machine(root)
        self._usage = Usage(self._machine)
        self.artifact_room = ArtifactRoom(self._machine, artifact_limit, limit)
        self.launcher = Launcher(root, self._machine, offline=offline or disabled)
        self.writer = Writer(self.next_segment, self._id, self._check, self._full, self._note_refused)
        self.disabled = self.writer.dead = disabled
        self.folder: SessionFolder | None = None
        self.uploads = OrderedUploads()
        self._mapped = False
        self._lock = -1
        self._wake = -1
        self._wake_file: os.stat_result = os.stat_result(range(10))
        self._cause = -1
        self._refused: RefusedFile | None = None
        self._asleep: mmap.mmap | None = None
        self._finding_seen = 0
        self._trouble = ""

    def _id(self) -> str:
        return self.folder.session if self.folder else ""

    @property
    def session(self) -> str:
        """The session's id; empty as long as nothing was appended."""
        return self._id()

    def next_segment(self, number: int, need: int, reserved: bool) -> SegmentFile | None:
        """Make segment *number* for a record of *need* bytes. None: there is no room now, or ever.

        Args:
            number: from 1; the first one makes the session.
            need: bytes, the segment's header included.
            reserved: the reserved share may be used.
        """
        generation = forking.generation
        if number != self.writer.number + 1:  # it was counted in the parent, and a handler has forked since
            return None
        if self.folder is None:
            with no_fork():
                if not self._open():
                    return None
            self._opened()
        folder = self.folder
        if folder is None or forking.generation != generation:  # this is the child of a fork in a handler
            return None
        least = max(FIRST_SIZE, need + 4095 & ~4095)
        grown = min(FIRST_SIZE * GROWTH ** min(number - 1, 8), LARGEST_SIZE)
        room = self._limit + RESERVED * reserved - self._usage.count()
        if room < least:
            self._no_room(f"{self._limit} bytes are reached")
            return None
        room = min(room, self._usage.free())
        if room < 2 * max(least, grown):
            self._ask_for_room()
        size = least if reserved else max(least, grown)
        while room < size > least:
            size = max(size // GROWTH, least)
        if size > least:
            segment = self._make(folder, generation, number, size)
            if segment is not None or self.writer.dead:
                return segment
        return self._make(folder, generation, number, least)

    def _make(self, folder: SessionFolder, generation: int, number: int, size: int) -> SegmentFile | None:
        segment = None
        try:
            segment = create_segment(folder, number, size, self.uri, self._mapped, generation)
            if number == 1:
                self._announce(folder, generation)
        except (OSError, ValueError) as wrong:
            if segment is not None:
                segment.close()
            if forking.generation != generation:
                return None
            if number == 1:
                self._cannot_begin(wrong)
            else:
                self._no_room(str(wrong))
            return None
        self._usage.added(size)
        return segment

    def _no_room(self, reason: str) -> None:
        self._trouble = reason
        self._ask_for_room()

    def _ask_for_room(self) -> None:
        """The sender shall remove now what it keeps for a while after the acknowledgement."""
        if self._asleep is not None:
            self._asleep[SHORT] = 1

    def _open(self) -> bool:
        """Make the folder, its lock and its cause; `session.json` follows when the first segment is there."""
        folder = None
        generation = forking.generation
        try:
            standard_streams.occupy()
            self._machine.make()
            self.launcher.check()
            folder = self._machine.session(new_session_id())
            folder.path.mkdir(mode=0o700)
            folder.uploads.mkdir(mode=0o700)
            self._lock = os.open(folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            forking.check(generation)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            folder.cause.write_bytes(bytes(CAUSE_SIZE))
            self._cause = os.open(folder.cause, os.O_WRONLY | os.O_CLOEXEC)
            self._refused = RefusedFile(folder.refused)
            self._wake = os.open(self._machine.wake, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self._wake_file = os.fstat(self._wake)
            self._mapped = allocation_binds(folder.path)
            if self._mapped:
                self._asleep = _map(self._machine.asleep)
        except (OSError, ValueError) as wrong:
            self._close()
            if forking.generation != generation:
                return False
            if folder is not None:
                _remove(folder.path)
            self._cannot_begin(wrong)
            return False
        if forking.generation != generation:
            self._close()
            return False
        self.folder = folder
        if self._asleep is not None:
            # Elsewhere nobody can see that the sender sleeps: it looks by itself, five times a second.
            self.writer.asleep = self._asleep
        self.writer.wake = self.wake
        self._say_where()
        return True

    def _close(self) -> None:
        """Close what `_open` opened."""
        for descriptor in (self._lock, self._wake, self._cause):
            if descriptor >= 0:
                os.close(descriptor)
        self._lock = self._wake = self._cause = -1
        if self._refused is not None:
            self._refused.close()
            self._refused = None
        self._asleep = None

    def _say_where(self) -> None:
        """Tell of network file systems, which the spool's place must not be on."""
        kind = file_system_of(self._machine.path)
        if kind in NETWORK:
            notices.warn_once(
                "network",
                f"the spool {self._root} lies on a network file system ({kind}), where locks and caches "
                "are not to be relied on; name a folder on a local disk by RUNSTONE_SPOOL",
            )
        elif self._root in default_roots()[1:] and (avoided := avoided_state_folder()):
            notices.warn_once(
                "network",
                f"{avoided[0]} {avoided[1]}, so what is logged lies in {self._root} on this machine; another "
                "folder on a local disk can be named by RUNSTONE_SPOOL",
            )

    def _announce(self, folder: SessionFolder, generation: int) -> None:
        said = {
            "session": folder.session,
            "uri": self.uri,
            "pid": os.getpid(),
            "host": os.uname().nodename,
            "user": user_name(),
            "program": clean(sys.argv[0] if sys.argv else ""),
            "started_ms": time.time_ns() // 1_000_000,
        }
        temporary = folder.json.with_suffix(".new")
        temporary.write_bytes(orjson.dumps(said))
        forking.check(generation)
        os.rename(temporary, folder.json)  # noqa: PTH104  # no handler runs between the check and this call

    def _cannot_begin(self, wrong: Exception) -> None:
        if isinstance(wrong, OSError) and wrong.errno in PASSING:
            self._trouble = str(wrong)
            return
        self.writer.dead = True
        self.launcher = Launcher(self._root, self._machine, offline=True)
        notices.warn_once(
            "nowhere",
            f"nothing can be logged: the spool {self._root} cannot be written ({wrong}). "
            "Name another folder on a local disk by RUNSTONE_SPOOL",
        )

    def _full(self, reason: str) -> None:
        notices.warn_once(
            "full",
            f"the spool {self._root} takes no more for now ({reason or self._trouble}): new metric points "
            "are refused until there is room again; how many is shown on the run. Free space there, raise "
            "RUNSTONE_SPOOL_LIMIT, or name a folder on another local disk by RUNSTONE_SPOOL",
        )

    def _note_refused(self, stream: str, first_seq: int, count: int) -> None:
        if self._refused is not None:
            self._refused.note(stream, first_seq, count)

    def wake(self) -> None:
        """Wake the sender; where nobody sleeps or the pipe is full, nothing happens."""
        if self._asleep is not None:
            self._asleep[0] = 0
        try:
            # a program that closes every descriptor, as daemons do, may have a file of its own there by now
            if os.path.samestat(os.fstat(self._wake), self._wake_file):
                os.write(self._wake, b"\1")
        except OSError:
            pass

    def _check(self) -> None:
        with contextlib.suppress(OSError):  # a disk in trouble is seen by who writes
            self.launcher.check()
            self.show_finding()
            if self.folder is not None:
                self.uploads.look(self.folder)

    def show_finding(self) -> None:
        """Say once what the sender has found out about the destination, where it is a reason to warn."""
        path = self._machine.destination(self.uri)
        try:
            changed = path.stat().st_mtime_ns
            if changed == self._finding_seen:
                return
            self._finding_seen = changed
            finding = orjson.loads(path.read_bytes()).get("finding")
        except (OSError, ValueError, AttributeError):
            return
        if finding:
            notices.warn_once(f"finding {finding}", str(finding))

    def acknowledged(self, position: tuple[int, int]) -> bool:
        """Whether the broker has acknowledged everything before *position* (segment number, offset)."""
        if self.writer.dead or self.writer.undeclared or self.folder is None:
            return self.disabled or (position == (0, 0) and not (self.writer.dead or self.writer.undeclared))
        try:
            found = self.folder.ack.read_bytes()
        except OSError:
            return False
        if len(found) < ACK.size or crc32(found[4 : ACK.size]) != ACK.unpack_from(found)[0]:
            return False
        _crc, number, at = ACK.unpack_from(found)
        return (number, at) >= position

    def wait_acknowledged(self, deadline: float, uploads: Collection[str]) -> bool:
        """Whether by the deadline (``time.monotonic()``) all that was appended so far and *uploads* are done.

        That is: acknowledged by the broker, files uploaded and their pointers acknowledged. A rejected upload
        never is, so it is not waited for; the rest is, because who asks may be about to remove the spool.
        """
        position = self.writer.position()
        waiting = deque(uploads)
        pause = PAUSE_S
        while True:
            self.wake()
            self._check()
            if self.writer.undeclared:
                position = self.writer.position()
            while waiting and self.folder and self.uploads.settled(self.folder, waiting[0]):
                waiting.popleft()  # of thousands of files the first tells enough
            if self.acknowledged(position) and not waiting:
                return not self.uploads.any_rejected(uploads)
            left = deadline - time.monotonic()
            if left <= 0 or self.launcher.nobody():
                return False
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, PAUSE_MOST_S)

    def attend(self) -> None:
        """Wake the sender, see that there is one, and see what it has done."""
        self.wake()
        self._check()

    def settled(self, position: tuple[int, int]) -> bool:
        """Whether all before *position* is acknowledged and no upload waits, as far as `attend` has seen."""
        return self.acknowledged(position) and not self.uploads

    def backlog(self, position: tuple[int, int]) -> int:
        """Bytes of segments before *position* that are not acknowledged, roughly."""
        if self.folder is None:
            return 0
        try:
            _crc, number, at = ACK.unpack(self.folder.ack.read_bytes())
        except (OSError, struct.error):
            number, at = 1, 0
        before = 0
        for each in range(number, position[0]):
            with contextlib.suppress(OSError):  # it has just been removed
                before += self.folder.segment(each).stat().st_size
        return max(0, before + position[1] - int(at))

    def server_answers(self) -> bool:
        """Whether the sender has got an answer from the destination lately and is in no trouble with it."""
        try:
            found = orjson.loads(self._machine.destination(self.uri).read_bytes())
            silent_ms = abs(time.time_ns() // 1_000_000 - int(found["answered_ms"]))
            return not found["finding"] and silent_ms < ANSWERED_MS
        except (OSError, ValueError, KeyError, TypeError):
            return False

    @property
    def place(self) -> Path:
        """The folder of all sessions of this machine."""
        return self._machine.path

    def neighbours(self) -> list[SessionFolder]:
        """The folders of the other sessions of this machine."""
        return [
            self._machine.session(entry.name)
            for entry in _entries(self._machine.sessions)
            if entry.name != self.session and not entry.name.startswith(".")
        ]

    def finish(self) -> None:
        """At exit: declare what was refused, say that this is all, see that a sender is there."""
        if self.folder is None:
            return
        self.writer.position()
        self.writer.finish()
        self.wake()
        with contextlib.suppress(OSError):
            self.launcher.finish()
            self.show_finding()
            self.uploads.look(self.folder)

    def mark_cause(self, signal_number: int) -> None:
        """Leave the signal that ends the process to the sender; takes no lock."""
        if self._cause >= 0:
            with contextlib.suppress(OSError):
                os.pwrite(self._cause, bytes([signal_number]), 0)

    def forget(self) -> None:
        """In the child after a fork: this session is the parent's."""
        self._close()
        self.folder = None
        self.uploads = OrderedUploads()
        self.writer.asleep = bytearray(1)
        self.writer.forget()
        self.artifact_room.forked()
        self.launcher.forget()


def _entries(folder: Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
    """What lies in a folder; nothing where it has just been removed."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def _map(path: Path) -> mmap.mmap:
    """A small file mapped for reading and writing."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return mmap.mmap(descriptor, 0)
    finally:
        os.close(descriptor)


def _remove(folder: Path) -> None:
    """Remove what was made of a session that cannot begin."""
    import shutil  # noqa: PLC0415  # importing runstone must stay cheap

    shutil.rmtree(folder, ignore_errors=True)


def user_name() -> str:
    """Who runs this process, as its environment or the system says."""
    try:
        import getpass  # noqa: PLC0415  # importing runstone must stay cheap

        return clean(getpass.getuser())
    except (OSError, KeyError, ImportError):
        return str(os.getuid())
