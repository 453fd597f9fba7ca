"""Spools that `runstone sync` sends: this user's own, or one brought from another machine, in any state.

A folder that this user owns and can write is served as a sender serves it, under its lease. Any other one, on
read-only media or somebody else's, is *mirrored* into a scratch folder: symbolic links to segments and
uploads, copies of the small files that a sender writes. So it is sent by the same code and stays untouched;
sent once more it doubles nothing, because sessions and seqs are the same.
"""

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runstone.exceptions import InvalidInputError
from runstone.sender.adoption import lives, read_ack
from runstone.sender.lease import Lease
from runstone.spool.layout import SEGMENT_SUFFIX, MachineFolder, SessionFolder
from runstone.spool.reader import SegmentReader
from runstone.spool.segment import FORMAT

_SMALL: Final = ("session.json", "ack", "progress.json", "installation", "cause", "refused", "settled")


@dataclass(frozen=True, slots=True)
class Brought:
    """A machine's folder to be sent.

    Attributes:
        origin: where it lies. lease: of that folder, or of its mirror; None where another sender serves it.
        mirrored: nothing is written to the origin.
    """

    origin: MachineFolder
    lease: Lease | None
    mirrored: bool = False


class Unusable(Exception):
    """A folder that cannot be sent; the message says why and what to do."""


def machine_folders(root: Path) -> list[MachineFolder]:
    """The folder of a machine that *root* is, or those in it, and what may be one but cannot be looked into.

    Raises:
        InvalidInputError: there are none.
        OSError: it cannot be looked into.
    """
    if (root / "sessions").is_dir():
        return [MachineFolder(root)]
    inside = sorted(root.iterdir()) if root.is_dir() else []
    found = [MachineFolder(path) for path in inside if _may_be_machine(path)]
    if not found:
        raise InvalidInputError(
            f"{root} is no spool: expected a folder with folders named MACHINE-BOOT in it, or one of those; "
            "a spool's place is ~/.local/state/runstone/spool, or what RUNSTONE_SPOOL says"
        )
    return found


def bring(folder: MachineFolder, scratch: Path) -> Brought:
    """Make *folder* ready to be sent; mirrors go below *scratch*.

    Raises:
        Unusable: that is not possible.
    """
    try:
        told = folder.format.read_bytes()[:20].strip() if folder.format.exists() else b""
        if told not in {b"", b"%d" % FORMAT}:
            raise Unusable(
                f"{folder.path} was written by another version of runstone (format "
                f"{told.decode(errors='replace')}, this one knows {FORMAT}); use that version"
            )
        if _ours(folder):
            folder.make()
            lease = Lease(folder)
            # Clients that live there shall start a sender of their own; it waits until this one is through.
            return Brought(folder, lease if lease.acquire(state="leaving") else None)
        copy = _mirror(folder, scratch)
        lease = Lease(copy)
        lease.acquire()
        return Brought(folder, lease, mirrored=True)
    except (OSError, ValueError) as wrong:
        raise Unusable(f"{folder.path} cannot be sent: {wrong}") from wrong


def sessions_of(folder: MachineFolder) -> Iterator[SessionFolder]:
    """The sessions in a folder, oldest first."""
    for path in sorted(folder.sessions.iterdir()):
        if not path.name.startswith("."):
            yield SessionFolder(path)


def orders_of(session: SessionFolder) -> int:
    """How many artifacts wait to be uploaded."""
    try:
        with os.scandir(session.uploads) as found:
            return sum(entry.name.endswith(".json") for entry in found)
    except OSError:
        return 0


def unsent(session: SessionFolder) -> bool:
    """Whether something is left to be sent of a session that another sender serves."""
    if orders_of(session) or (not lives(session) and not session.ended.exists()):
        return True
    try:
        number, offset = read_ack(session, removed=True)
        reader = SegmentReader(session.segment(number))
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True
    reader.position = offset
    try:
        return reader.has_more()
    finally:
        reader.close()


def _may_be_machine(path: Path) -> bool:
    try:
        return stat.S_ISDIR((path / "sessions").stat().st_mode)
    except PermissionError:
        return "-" in path.name  # `bring` says what is wrong with it
    except OSError:
        return False


def _ours(folder: MachineFolder) -> bool:
    mode = os.W_OK | os.X_OK | os.R_OK
    places = (folder.path, folder.sessions)
    return all(place.stat().st_uid == os.getuid() and os.access(place, mode) for place in places)


def _mirror(folder: MachineFolder, scratch: Path) -> MachineFolder:
    copy = MachineFolder(scratch / folder.path.name)
    copy.make()
    if folder.destinations.is_dir():
        shutil.copytree(folder.destinations, copy.destinations, dirs_exist_ok=True)
    for session in sessions_of(folder):
        target = copy.session(session.session)
        target.uploads.mkdir(parents=True)
        for name in _SMALL:
            if (session.path / name).exists():
                shutil.copyfile(session.path / name, target.path / name)
        if session.ended.is_dir():
            shutil.copytree(session.ended, target.ended)
        if lives(session):
            target.lock.symlink_to(session.lock.absolute())
        else:
            target.lock.touch()
        links = [path for path in session.path.iterdir() if path.suffix == SEGMENT_SUFFIX]
        if session.uploads.is_dir():
            links += session.uploads.iterdir()
        for path in links:
            (target.path / path.relative_to(session.path)).symlink_to(path.absolute())
    return copy
