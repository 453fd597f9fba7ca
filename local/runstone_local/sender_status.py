"""How this user's sender on this machine is: what it writes down for everybody, and whether it lives."""

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runstone.spool.layout import MachineFolder, spool_root, this_machine


@dataclass(frozen=True, slots=True)
class SenderStatus:
    """Attributes:
    running: whether there is one now; there is none while nothing is logged.
    pid, version: of the one that runs, else of the last one; None where there has never been one.
    log: its log file, which is there when it has ever run.
    findings: what keeps it from sending, a sentence for each destination.
    rejected: how many files lie in the folder of what was refused for good.
    """

    running: bool
    pid: int | None
    version: str | None
    log: str
    findings: tuple[str, ...]
    rejected: int


def sender_status(folder: MachineFolder | None = None) -> SenderStatus:
    """The sender of *folder*, by default of this user's spool on this machine."""
    folder = folder or this_machine(spool_root())
    told = _read(folder.sender_json)
    notes = [_read(path) for path in sorted(folder.destinations.glob("*.json"))]
    return SenderStatus(
        running=_held(folder.sender_lock),
        pid=told.get("pid"),
        version=told.get("version"),
        log=str(folder.sender_log),
        findings=tuple(str(note["finding"]) for note in notes if note.get("finding")),
        rejected=sum(1 for _ in folder.rejected.glob("*.json")),
    )


def lines(found: SenderStatus) -> list[str]:
    """The same for a person."""
    if found.running:
        head = f"this user's sender runs (pid {found.pid}, runstone {found.version}); its log is {found.log}"
    elif found.pid is not None:
        head = f"no sender runs here now, one starts with the next record; the last one's log is {found.log}"
    else:
        return []
    refused = f"{found.rejected} refused records or artifacts lie in {Path(found.log).with_name('rejected')}"
    return [head, *found.findings, *([refused] if found.rejected else [])]


def _held(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
