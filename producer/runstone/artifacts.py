"""Files on their way to the store: copied into the spool, then ordered; the sender does the rest.

A file is copied as a reflink where the file system can, so a large one costs neither time nor space; what
happens to the original afterwards does not matter. The order (``uploads/<id>.json``) is renamed into place
behind its data, so a sender never sees half of one.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from runstone.inputs import checked_artifact_path
from runstone.spool.artifact_room import NoRoomError
from runstone.spool.session import Session


def order_upload(
    session: Session,
    run_id: str,
    experiment_id: int,
    path: str,
    fill: Callable[[Path], None],
    size: int | None = None,
) -> str | None:
    """Put a file into the spool and order its upload.

    Args:
        session: it must be open.
        run_id: whose artifact it is.
        experiment_id: of that run.
        path: within the run's artifacts, checked.
        fill: writes the content to the file it is given.
        size: bytes that it will write, as far as is known; None: nobody knows before.

    Returns:
        The upload's id; None where nothing is recorded at all, which has been said.

    Raises:
        NoRoomError: the spool is full.
        OSError: the content cannot be read, or the spool cannot be written, now.
    """
    folder = session.folder
    if folder is None:
        if session.writer.dead:
            return None
        raise NoRoomError("the spool cannot be written now")
    upload = session.uploads.next_id()
    data, order = folder.upload_data(upload), folder.upload_json(upload)
    room = session.artifact_room
    room.take(size)
    taken = size or 0
    try:
        fill(data)
        found = data.stat().st_size
        if found > taken:
            room.take(found - taken, found)
            taken = found
        said = {
            "id": upload,
            "run_id": run_id,
            "experiment_id": experiment_id,
            "path": path,
            "size": found,
            "media_type": media_type(path),
            "time_ms": time.time_ns() // 1_000_000,
        }
        _put(order, orjson.dumps(said))
    except BaseException:
        room.give_back(taken)
        data.unlink(missing_ok=True)
        raise
    session.uploads.ordered(upload, run_id)
    session.wake()
    session.writer.attend()
    return upload


def media_type(path: str) -> str:
    """What the file's name says it holds."""
    try:
        import mimetypes  # noqa: PLC0415  # importing runstone must stay cheap
    except ImportError:  # a finaliser logs, and the interpreter that goes down imports nothing more
        return "application/octet-stream"

    return mimetypes.guess_type(path)[0] or "application/octet-stream"


def within(artifact_path: str | None, name: str) -> str:
    """The path of *name* below *artifact_path* in a run, checked."""
    if artifact_path is not None:
        folder = artifact_path.rstrip("/") if isinstance(artifact_path, str) else artifact_path
        artifact_path = checked_artifact_path(folder, "artifact_path")
    return checked_artifact_path(name if artifact_path is None else f"{artifact_path}/{name}", "artifact")


def _put(path: Path, content: bytes) -> None:
    """Make a small file that appears whole."""
    temporary = f"{path}.new"
    written = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(written, content)
    finally:
        os.close(written)
    os.rename(temporary, path)  # noqa: PTH104  # thousands of them
