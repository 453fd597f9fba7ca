"""Which paths an artifact may have within its run, and where its file lies in the store.

The rule is part of the contract because everybody who handles a path applies it: the client before it
copies, the sender before it uploads, the gateway before it writes, the read API before it opens.
"""

import re
from pathlib import PurePosixPath
from typing import Final

from runstone.events import limits
from runstone.exceptions import InvalidInputError

_DRIVE: Final = re.compile("[A-Za-z]:")

MARKER: Final = ".runstone-installation"
"""A file in the store's root that holds the installation's id: proof that a folder is that store."""


def check_artifact_path(path: str) -> str:
    """*path* itself, when it is relative, normalised, uses forward slashes and stays within its run.

    Raises:
        InvalidInputError: for anything else; the message says which rule was broken.
    """
    if not path:
        raise InvalidInputError(
            "an artifact path is empty; expected a relative path such as 'model/model.pkl'"
        )
    shown = ascii(path[:100])
    if any(c < " " or "\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff" for c in path) or "\\" in path:
        raise InvalidInputError(
            f"the artifact path {shown} contains a backslash, a control character or half a surrogate pair; "
            "expected forward slashes and printable characters"
        )
    if path.startswith("/") or _DRIVE.match(path):
        raise InvalidInputError(f"the artifact path {shown} is absolute; expected one relative to the run")
    if any(part in {"", ".", ".."} for part in path.split("/")):
        raise InvalidInputError(
            f"the artifact path {shown} has an empty part, '.' or '..'; "
            "expected one that stays within the run"
        )
    names = [len(part.encode()) for part in path.split("/")]
    if sum(names) + len(names) - 1 > limits.ARTIFACT_PATH_MAX or max(names) > limits.ARTIFACT_NAME_MAX:
        raise InvalidInputError(
            f"the artifact path {shown}… is too long; at most {limits.ARTIFACT_PATH_MAX} bytes of UTF-8 are "
            f"possible, and {limits.ARTIFACT_NAME_MAX} in each name"
        )
    return path


def location(experiment_id: int, run_id: str, path: str = "") -> PurePosixPath:
    """Where a run's artifact (or, without *path*, all of them) lies below the root of the store."""
    return PurePosixPath(str(experiment_id), run_id, "artifacts", path)


def large_field(experiment_id: int, run_id: str, sha256: str) -> PurePosixPath:
    """Where a text of a run lies that is too large for an event, below the root of the store."""
    return PurePosixPath(str(experiment_id), run_id, "fields", sha256)
