"""How much of the disk this user's spool takes.

Counted from the files that docs/spool.md describes: segments, which are allocated in full before they are
used and kept for a grace period after they are acknowledged, and files that wait to be uploaded.
"""

from pathlib import Path

from runstone.spool.layout import SEGMENT_SUFFIX, MachineFolder, spool_root


def spool_bytes(root: Path | None = None) -> int:
    """Bytes of all segments and uploads below *root*, by default this user's spool; 0 where there is none."""
    base = root or spool_root()
    return sum(_machine_bytes(MachineFolder(folder)) for folder in _entries(base))


def _machine_bytes(machine: MachineFolder) -> int:
    total = 0
    for session in _entries(machine.sessions):
        segments = [file for file in _entries(session) if file.suffix == SEGMENT_SUFFIX]
        total += sum(_size(file) for file in [*segments, *_entries(machine.session(session.name).uploads)])
    return total


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # the sender removes what it has delivered
        return 0
