"""Files on their way to the store: copied into the spool, then ordered; the sender does the rest.

A file is copied as a reflink where the file system can, so a large one costs neither time nor space; what
happens to the original afterwards does not matter. The order (``uploads/<id>.json``) is renamed into place
behind its data, so a sender never sees half of one.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import orjson

from runstone import notices
from runstone.exceptions import InvalidInputError
from runstone.inputs import checked_artifact_path, shown
from runstone.spool.session import Session

_FICLONE: Final = 0x40049409


def order_upload(
    session: Session, run_id: str, experiment_id: int, path: str, fill: Callable[[Path], None]
) -> str | None:
    """Put a file into the spool and order its upload.

    Args:
        session: it must be open.
        run_id: whose artifact it is.
        experiment_id: of that run.
        path: within the run's artifacts, checked.
        fill: writes the content to the file it is given.

    Returns:
        The upload's id; None where the spool could not take the file, which has been said once.
    """
    folder = session.folder
    if folder is None:
        return None
    upload = session.next_upload()
    data = folder.upload_data(upload)
    order = folder.upload_json(upload)
    try:
        fill(data)
        said = {
            "id": upload,
            "run_id": run_id,
            "experiment_id": experiment_id,
            "path": path,
            "size": data.stat().st_size,
            "media_type": media_type(path),
            "time_ms": time.time_ns() // 1_000_000,
        }
        temporary = order.with_suffix(".new")
        temporary.write_bytes(orjson.dumps(said))
        temporary.rename(order)
    except OSError as wrong:
        data.unlink(missing_ok=True)
        notices.warn_once(
            f"artifact {path}", f"artifact {path!r} was not logged: the spool cannot take it ({wrong})"
        )
        return None
    except BaseException:
        data.unlink(missing_ok=True)
        raise
    session.uploads.append(upload)
    session.wake()
    return upload


def media_type(path: str) -> str:
    """What the file's name says it holds."""
    import mimetypes  # noqa: PLC0415  # importing runstone must stay cheap

    return mimetypes.guess_type(path)[0] or "application/octet-stream"


def copier(source: Path) -> Callable[[Path], None]:
    """What copies *source*: as a reflink where the file system can."""

    def copy(target: Path) -> None:
        import shutil  # noqa: PLC0415  # importing runstone must stay cheap

        with source.open("rb") as read, target.open("xb") as write:
            try:
                fcntl.ioctl(write.fileno(), _FICLONE, read.fileno())
            except OSError:
                pass
            else:
                return
        shutil.copyfile(source, target)

    return copy


def within(artifact_path: str | None, name: str) -> str:
    """The path of *name* below *artifact_path* in a run, checked."""
    if artifact_path is not None:
        folder = artifact_path.rstrip("/") if isinstance(artifact_path, str) else artifact_path
        artifact_path = checked_artifact_path(folder, "artifact_path")
    return checked_artifact_path(name if artifact_path is None else f"{artifact_path}/{name}", "artifact")


def located(path: str | os.PathLike[str]) -> Path:
    """*path* as an absolute path where something is.

    Raises:
        InvalidInputError: it is none: another type, a text that no file can have for its name, nothing
            there, a folder on the way that cannot be entered, links in a circle.
    """
    try:
        found = Path(path)
        os.stat(path)  # noqa: PTH116  # Path("") is the current folder, which nobody means
        return found.absolute()
    except (OSError, TypeError, ValueError) as wrong:
        raise InvalidInputError(
            f"the artifact {shown(path)} is no file or folder that exists and can be read ({wrong})"
        ) from None


def existing_file(path: Path) -> Path:
    """The file at *path*, which can be read.

    Raises:
        InvalidInputError: nothing is there, or nothing that can be read.
    """
    if not path.is_file():
        raise InvalidInputError(f"the artifact {str(path)!r} is no file; name one that exists")
    if not os.access(path, os.R_OK):
        raise InvalidInputError(f"the artifact {str(path)!r} cannot be read by this user")
    return path


def files_below(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file below *folder* with its path relative to it; links to folders are not followed.

    Raises:
        InvalidInputError: *folder* is none, or something in it cannot be read.
    """
    if not folder.is_dir():
        raise InvalidInputError(f"{str(folder)!r} is no folder; expected one whose files are the artifacts")

    def unreadable(wrong: OSError) -> None:
        raise InvalidInputError(f"the folder {wrong.filename!r} cannot be read ({wrong.strerror})") from None

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders.sort()
        for name in sorted(names):
            found = Path(parent, name)
            yield existing_file(found), found.relative_to(folder).as_posix()
