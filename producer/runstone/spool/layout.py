"""Where everything lies in the spool: the root, the folder of this machine and boot, sessions, segments.

Paths only; the one thing done here is making the machine's folder, because whoever comes first makes it.
``docs/spool.md`` says what each file is and who writes it.
"""

import hashlib
import os
import re
import stat
import struct
from pathlib import Path
from typing import Final

from runstone.events.limits import MIB
from runstone.spool.file_systems import NETWORK, file_system_of
from runstone.spool.segment import FORMAT

LOCAL_STATE: Final = Path("/var/tmp")  # noqa: S108  # `MachineFolder.make` insists on owning what it finds
LEAST_FREE: Final = 8 * MIB
"""Bytes that a disk must have left for a spool to be begun there, where there is another place."""
SEGMENT_SUFFIX: Final = ".seg"
_NUMBER: Final = re.compile("[0-9]{8,}")
CAUSE_SIZE: Final = 64
ASLEEP_SIZE: Final = 8
SHORT: Final = 1
"""The byte of ``asleep`` that a writer sets when it finds no room."""
ACK: Final = struct.Struct("<IIQ")
"""The ``ack`` file: CRC-32 of the rest, segment number, position in it."""


class SessionFolder:
    """The files of one session: one writing process and one destination."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.session = path.name
        self.lock = path / "lock"
        self.json = path / "session.json"
        self.cause = path / "cause"
        self.ack = path / "ack"
        self.refused = path / "refused"
        self.settled = path / "settled"
        self.uploads = path / "uploads"
        self.ended = path / "ended"

    @property
    def machine(self) -> "MachineFolder":
        """The folder that the session lies in."""
        return MachineFolder(self.path.parent.parent)

    def segment(self, number: int) -> Path:
        """The segment of that number, from 1."""
        return self.path / f"{number:08d}{SEGMENT_SUFFIX}"

    def segment_numbers(self) -> list[int]:
        """The numbers of the segments that are there, ascending."""
        return sorted(
            int(found.stem)
            for found in self.path.iterdir()
            if found.suffix == SEGMENT_SUFFIX and _NUMBER.fullmatch(found.stem)
        )

    def upload_json(self, upload: str) -> Path:
        """The order to upload an artifact; its presence says that the data is complete."""
        return self.uploads / f"{upload}.json"

    def upload_data(self, upload: str) -> Path:
        """The content to upload."""
        return self.uploads / f"{upload}.data"

    def upload_done(self, upload: str) -> Path:
        """Says under which session and seq the pointer of an upload was acknowledged."""
        return self.uploads / f"{upload}.done"

    def upload_rejected(self, upload: str) -> Path:
        """Says why an upload will never be done, and where its content is kept."""
        return self.uploads / f"{upload}.rejected"


class MachineFolder:
    """The part of a spool that belongs to one boot of one machine; its sender serves all sessions in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.format = path / "format"
        self.sender_lock = path / "sender.lock"
        self.sender_json = path / "sender.json"
        self.sender_log = path / "sender.log"
        self.wake = path / "wake"
        self.asleep = path / "asleep"
        self.destinations = path / "destinations"
        self.sessions = path / "sessions"
        self.rejected = path / "rejected"

    @property
    def of_this_boot(self) -> bool:
        """Whether it was made since this machine was started, so that nothing in it was lost with the power.

        Containers on this machine have machine ids of their own, and its boot's.
        """
        return self.path.name.rpartition("-")[2] == boot_id()

    def destination(self, uri: str) -> Path:
        """What the sender knows about a tracking URI."""
        return self.destinations / f"{hashlib.sha256(uri.encode()).hexdigest()[:16]}.json"

    def session(self, session: str) -> SessionFolder:
        """The folder of a session by its id."""
        return SessionFolder(self.sessions / session)

    def make(self) -> None:
        """Make the folder and what the first comer owes: ``format``, ``wake``, ``asleep``. Idempotent.

        Raises:
            OSError: it cannot be made here.
            ValueError: it belongs to another user, or to another format of the spool.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.mkdir(mode=0o700, exist_ok=True)
        owner = self.path.stat().st_uid
        if owner != os.getuid():
            raise ValueError(f"{self.path} belongs to another user (uid {owner}, this is {os.getuid()})")
        for folder in (self.sessions, self.destinations, self.rejected):
            folder.mkdir(mode=0o700, exist_ok=True)
        _put(self.format, b"%d" % FORMAT)
        found = self.format.read_bytes()[:20].strip()
        if found != b"%d" % FORMAT:
            other = found.decode() if found.isdigit() else "unknown"
            raise ValueError(
                f"{self.path} was written by another version of runstone (format {other}; "
                f"this one knows {FORMAT})"
            )
        _put(self.asleep, bytes(ASLEEP_SIZE))
        if self.asleep.stat().st_size < ASLEEP_SIZE:  # the machine died while it was made
            with self.asleep.open("r+b") as asleep:
                asleep.write(bytes(ASLEEP_SIZE))
        try:
            os.mkfifo(self.wake, 0o600)
        except FileExistsError:
            if not stat.S_ISFIFO(self.wake.stat().st_mode):
                raise


def _put(path: Path, content: bytes) -> None:
    """Make a small file with its whole content, unless it is there."""
    if path.exists():
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        temporary.write_bytes(content)
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink(missing_ok=True)


def spool_root() -> Path:
    """``RUNSTONE_SPOOL``, else ``$XDG_STATE_HOME/runstone/spool``, else below ``~/.local/state``.

    Where the user has no home, or that default lies on a network file system, cannot be written or is full:
    the first of `default_roots` that takes something. This is what ``python -m runstone.sender --spool`` is
    given: a sender finds its machine's folders in it.
    """
    if chosen := os.environ.get("RUNSTONE_SPOOL"):
        return named_root(chosen)
    roots = default_roots()
    return next((root for root in roots if not _unfit(root)), roots[0])


def named_root(path: str | os.PathLike[str]) -> Path:
    """A root that somebody has named; ``~`` is a home there too where no shell has seen it."""
    return Path(os.path.expanduser(path)).absolute()  # noqa: PTH111  # which raises where a home is not known


def default_roots() -> list[Path]:
    """Where a spool may lie that nobody has placed, best first: the user's folder, then temporary ones."""
    temporary = [LOCAL_STATE, Path(os.environ.get("TMPDIR", "")), Path("/tmp")]  # noqa: S108  # as above
    places = [place / f"runstone-{os.getuid()}" for place in temporary if place.is_absolute()]
    state = _state_folder()
    return [place / "runstone" / "spool" for place in ([] if state is None else [state]) + places]


def avoided_state_folder() -> tuple[Path, str] | None:
    """The user's state folder, where `spool_root` avoids it, and why."""
    base = None if os.environ.get("RUNSTONE_SPOOL") else _state_folder()
    why = "" if base is None else _unfit(base / "runstone" / "spool")
    return (base, why) if base is not None and why else None


def _unfit(root: Path) -> str:
    """Why a spool should not lie at *root*; empty where it may. Nothing is made."""
    machine = this_machine(root).path
    try:
        if machine.exists() and machine.stat().st_uid != os.getuid():
            return "holds another user's spool"
        place = next(folder for folder in (machine, *machine.parents) if folder.exists())
        if file_system_of(place) in NETWORK:
            return "is on a network file system"
        if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
            return "cannot be written"
        room = os.statvfs(place)
    except OSError:
        return "cannot be written"
    return "" if room.f_bavail * room.f_frsize >= LEAST_FREE else "is on a full disk"


def _state_folder() -> Path | None:
    state = os.environ.get("XDG_STATE_HOME", "")
    try:
        base = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    except RuntimeError:
        return None
    return base if base.is_absolute() else None


def this_machine(root: Path) -> MachineFolder:
    """The folder of this machine and this boot below a spool's root; it may not exist yet."""
    return MachineFolder(root / f"{_of_format(FORMAT)}{machine_id()}-{boot_id()}")


def _of_format(number: int) -> str:
    """How the names of folders of a format begin, so that versions with different ones work side by side."""
    return "" if number == 1 else f"format{number}-"


def machine_id() -> str:
    """What tells this machine from others: ``/etc/machine-id``, else its host name; without dashes."""
    for source in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        if found := _first_line(source):
            return found
    return "".join(c if c.isalnum() else "_" for c in os.uname().nodename) or "unknown"


def boot_id() -> str:
    """What tells this boot from earlier ones; "0" where the system has no such id."""
    return _first_line("/proc/sys/kernel/random/boot_id").replace("-", "") or "0"


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
