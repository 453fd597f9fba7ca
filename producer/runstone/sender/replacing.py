"""Small files that others read at any moment: written beside and renamed, so never seen in part.

On a full disk there is no room beside, and it may be the spool that fills it: the segments that could go are
kept until what is known of them was written down. There the file is written in place, within its own blocks.
"""

import errno
import os
from pathlib import Path
from typing import Any, Final

import orjson

_FULL: Final = {errno.ENOSPC, errno.EDQUOT}


def replace_json(path: Path, found: Any) -> None:
    """Put *found* into *path* as JSON. Raises OSError where that is not possible."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    content = orjson.dumps(found)
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as wrong:
        temporary.unlink(missing_ok=True)
        if wrong.errno not in _FULL or not path.exists():
            raise
        _overwrite(path, content)


def _overwrite(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        # JSON may end in spaces, so the file need not be cut to its new length.
        content = content.ljust(os.fstat(descriptor).st_size)
        if os.pwrite(descriptor, content, 0) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in *path*; None where there is no file or something else in it."""
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    return found if isinstance(found, dict) else None
