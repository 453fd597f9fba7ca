"""Finds the sessions of a spool, and takes leave of those that are over.

In the folders that this sender holds a lease of, a session is found whenever one appears. The *kin* of such a
folder are those of earlier boots of the machine, and those of this boot under another machine id: containers
that share a volume have that. What dead processes left there is taken along now and then, under the lease of
that folder, and `leaving` is said there all the while: so a client that begins to write in it starts a sender
of its own, which waits for the lease for a moment.

::

    found ──its process lives──────────────────────────► adopted
          ──it is gone──► waiting ──there is room──►─────┘    │
                                                              ▼
             removed ◄──`GRACE` after its last word── resting ◄── over

Sessions of dead processes may be many thousands (the jobs of a month without a server), and each that is
adopted costs memory and descriptors, hence the waiting: in a queue for each place they are bound for, so that
those whose server is gone for good keep no others.
"""

import logging
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from runstone.addresses import without_credentials
from runstone.sender.adoption import GRACE, Session, lives
from runstone.sender.lease import Lease
from runstone.sender.replacing import read_json
from runstone.sender.sweeping import UNMADE_AFTER, sweep
from runstone.spool.layout import MachineFolder, SessionFolder
from runstone.spool.segment import HEADER_SIZE, unpack_header

log = logging.getLogger(__name__)

LIST_AGAIN: Final = 0.2
"""Seconds after which folders that were no sessions yet are looked at again."""

KIN_AGAIN: Final = 30.0
"""Seconds between looks at the folders of kin."""

_GONE_PREFIX: Final = ".gone-"


class Bound(NamedTuple):
    """A tracking URI, and the id of the installation there that has got something already, else empty."""

    uri: str
    installation: str


@dataclass(slots=True)
class _Listing:
    """A folder that is looked at all the time: when it had which state."""

    machine: MachineFolder
    seen_ns: int = 0
    listed: float = 0.0
    incomplete: bool = False

    def due(self) -> bool:
        """Whether a session may have appeared; costs one system call."""
        modified = self.machine.sessions.stat().st_mtime_ns
        # A clock tick may hold two changes, so a folder that changed just now is read again; and what is
        # still missing in a session's folder does not change the folder of them all.
        recent = time.time_ns() - modified < 1_000_000_000
        again = self.incomplete and time.monotonic() - self.listed > LIST_AGAIN
        if modified == self.seen_ns and not (recent or again):
            return False
        self.seen_ns = modified
        return True


@dataclass(slots=True)
class _Kin:
    """A folder that is somebody else's, for as long as its lease is held."""

    machine: MachineFolder
    lease: Lease
    sessions: set[str] = field(default_factory=set)


class Discovery:
    """Used on the sender's loop.

    Attributes:
        unusable: why a session cannot be adopted, or removed, by its id; it is tried again.
    """

    def __init__(self, folders: Sequence[MachineFolder], *, kin: bool = True) -> None:
        """Nothing is looked at yet.

        Args:
            folders: those whose lease the caller holds.
            kin: look after their kin as well.
        """
        self._listings = [_Listing(folder) for folder in folders]
        self._own = {folder.path for folder in folders}
        self._kin: list[_Kin] = []
        self._kin_due = 0.0 if kin else float("inf")
        self._known: set[str] = set()
        self._waiting: dict[Bound, deque[SessionFolder]] = {}
        self._resting: dict[str, tuple[float, SessionFolder]] = {}
        self.unusable: dict[str, str] = {}

    def close(self) -> None:
        """Give back the folders of kin."""
        for kin in self._kin:
            kin.lease.release()
        self._kin.clear()

    @property
    def waiting(self) -> int:
        """How many sessions of dead processes wait for room."""
        return sum(map(len, self._waiting.values()))

    def found(self, room: Callable[[Bound], int], *, surely: bool = False) -> Iterator[Session]:
        """Sessions to be adopted now. Costs a system call per folder where nothing changed.

        Args:
            room: how many sessions of dead processes may be adopted that are bound for there; asked before
                each. Those of living processes are adopted always.
            surely: look into every folder now, also those that were no sessions a moment ago.
        """
        for listing in self._listings:
            if listing.due() or surely:
                yield from self._list(listing)
        if time.monotonic() > self._kin_due:
            self._kin_due = time.monotonic() + KIN_AGAIN
            self._look_after_kin()
        for bound in list(self._waiting):
            yield from self._of_those_waiting(bound, room)

    def over(self, session: Session) -> None:
        """A session has nothing left to be done, and was closed: its folder stays for the rest of `GRACE`."""
        left = min(GRACE, max(0.0, GRACE - session.quiet_seconds))  # a clock may have been put back by years
        due = time.monotonic() + left
        self._resting[session.id] = due, session.folder
        self._part(session.id)

    def begin_removal(self, *, at_once: bool = False) -> list[Path]:
        """Take what has rested long enough out of the spool; the folders that are to be deleted then.

        Args:
            at_once: there is no room in the spool: what rests need not wait.
        """
        now = time.monotonic()
        gone = []
        for session, (due, folder) in list(self._resting.items()):
            if folder.path.parent.parent not in self._own or (due > now and not at_once):
                continue
            if path := self._remove(folder):
                gone.append(path)
            del self._resting[session]
            self._known.discard(session)
        return gone

    def _of_those_waiting(self, bound: Bound, room: Callable[[Bound], int]) -> Iterator[Session]:
        waiting = self._waiting[bound]
        while waiting and room(bound) > 0:
            folder = waiting.popleft()
            if session := self._adopt(folder):
                yield session
            elif not self._of_kin(folder):
                self._known.discard(folder.session)
                for listing in self._listings:
                    listing.incomplete = True
            else:
                self._part(folder.session)
        if not waiting:
            del self._waiting[bound]

    def _wait(self, folder: SessionFolder) -> None:
        self._waiting.setdefault(bound_for(folder), deque()).append(folder)

    def _list(self, listing: _Listing) -> Iterator[Session]:
        listing.listed = time.monotonic()
        listing.incomplete = False
        for name in _names(listing.machine.sessions):
            if name in self._known:
                continue
            folder = listing.machine.session(name)
            if not self._is_session(folder):
                listing.incomplete = listing.incomplete or folder.path.exists()
                continue
            self._known.add(name)
            if not lives(folder):
                self._wait(folder)
            elif session := self._adopt(folder):
                yield session
            else:
                self._known.discard(name)
                listing.incomplete = True

    def _is_session(self, folder: SessionFolder) -> bool:
        """Whether there is something to adopt; leftovers are cleared."""
        if folder.session.startswith(_GONE_PREFIX):
            shutil.rmtree(folder.path, ignore_errors=True)
            return False
        try:
            if folder.json.exists():
                return True
            age = time.time() - folder.path.stat().st_mtime
            if (folder.machine.of_this_boot and age < UNMADE_AFTER) or lives(folder):
                return False
        except PermissionError as wrong:
            self._say_once(folder, f"it cannot be read: {wrong}")
            return False
        except OSError:
            return False  # removed a moment ago, or not ours to judge
        return not sweep(folder, folder.path.with_name(_GONE_PREFIX + folder.session))

    def _adopt(self, folder: SessionFolder) -> Session | None:
        told = read_json(folder.json) or {}
        uri = uri_of(folder)
        if not uri:
            self._say_once(folder, "neither session.json nor a segment tells where it belongs")
            return None
        try:
            session = Session(folder, uri)
        except Exception as wrong:  # whatever is wrong with one session, the others go on
            self._say_once(folder, f"it cannot be read: {wrong!r}")
            return None
        self.unusable.pop(session.id, None)
        session.program = str(told.get("program") or "")
        log.info("session %s of %s (pid %s) for %s", session.id, session.program, told.get("pid"), uri)
        return session

    def _say_once(self, folder: SessionFolder, wrong: str) -> None:
        if self.unusable.get(folder.session) != wrong:
            self.unusable[folder.session] = wrong
            log.warning("session %s waits: %s", folder.session, wrong)

    def _look_after_kin(self) -> None:
        for machine in _kin_of([listing.machine for listing in self._listings]):
            if machine.path in {kin.machine.path for kin in self._kin}:
                continue
            lease = Lease(machine)
            try:
                if not _names(machine.sessions) or not lease.acquire(patience=0, state="leaving"):
                    continue
            except OSError as wrong:
                log.info("%s cannot be looked after: %s", machine.path, wrong)
                continue
            kin = _Kin(machine, lease)
            self._take_along(kin)
            if kin.sessions:
                log.info("%d sessions that were left in %s are taken along", len(kin.sessions), machine.path)
                self._kin.append(kin)
            else:
                lease.release()

    def _take_along(self, kin: _Kin) -> None:
        """Let the sessions of dead processes in a folder of kin wait for adoption."""
        for name in _names(kin.machine.sessions):
            folder = kin.machine.session(name)
            due, _folder = self._resting.get(name, (None, None))
            if due is not None:
                if due < time.monotonic():
                    del self._resting[name]
                    self._known.discard(name)
                    if path := self._remove(folder):
                        shutil.rmtree(path, ignore_errors=True)
            elif name not in self._known and self._is_session(folder) and not lives(folder):
                self._known.add(name)
                self._wait(folder)
                kin.sessions.add(name)

    def _of_kin(self, folder: SessionFolder) -> bool:
        return folder.path.parent.parent not in self._own

    def _part(self, session: str) -> None:
        """One session of kin less; with the last one the folder is given back, if nothing came meanwhile."""
        for kin in list(self._kin):
            if session in kin.sessions:
                kin.sessions.discard(session)
                if not kin.sessions:
                    self._take_along(kin)
                if not kin.sessions:
                    kin.lease.release()
                    self._kin.remove(kin)

    def _remove(self, folder: SessionFolder) -> Path | None:
        """It stops being a session before anything in it goes."""
        gone = folder.path.with_name(_GONE_PREFIX + folder.session)
        try:
            folder.path.rename(gone)
        except OSError as wrong:
            self._say_once(folder, f"it cannot be removed: {wrong}")
            return None
        return gone


def bound_for(folder: SessionFolder) -> Bound:
    """Where the records of a session go, as far as it is known."""
    try:
        installation = (folder.path / "installation").read_text().strip()
    except OSError:
        installation = ""
    return Bound(uri_of(folder), installation)


def uri_of(folder: SessionFolder) -> str:
    """The tracking URI that a session was logged for; empty where nothing tells any more.

    Earlier clients left a password in it, which belongs into no log.
    """
    uri = (read_json(folder.json) or {}).get("uri")
    return without_credentials(uri if isinstance(uri, str) else _uri_of_segments(folder))


def _names(sessions: Path) -> list[str]:
    """What lies in a folder of sessions, oldest first, by name."""
    try:
        return sorted(os.listdir(sessions))  # noqa: PTH208  # called often, names suffice
    except FileNotFoundError:
        return []


def _kin_of(folders: Sequence[MachineFolder]) -> Iterator[MachineFolder]:
    own = {folder.path for folder in folders}
    for folder in folders:
        machine, _, boot = folder.path.name.rpartition("-")
        if not machine:
            continue
        for path in sorted(folder.path.parent.iterdir()):
            same_boot = path.name.endswith(f"-{boot}") and boot != "0"  # which is none
            if path in own or not (path.name.startswith(f"{machine}-") or same_boot):
                continue
            other = MachineFolder(path)
            try:
                if (
                    path.stat().st_uid == os.getuid()
                    and other.sessions.is_dir()
                    and other.format.read_bytes() == folder.format.read_bytes()
                ):
                    yield other
            except OSError:
                continue


def _uri_of_segments(folder: SessionFolder) -> str:
    """The destination as the first readable segment names it; empty where none does."""
    for number in folder.segment_numbers():
        try:
            with folder.segment(number).open("rb") as segment:
                if uri := unpack_header(segment.read(HEADER_SIZE)).uri:
                    return uri
        except (OSError, ValueError):
            continue
    return ""
