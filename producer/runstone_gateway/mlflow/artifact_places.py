"""What the paths of MLflow's artifact proxy mean: the file's key in the store, and whose file it is. Pure.

A path is decoded once; decoded as often as it can be, it must still lead nowhere else. MLflow refuses some of
that in two words, which its client's users know; what it lets through and a store should not is said in more.
"""

import re
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

from runstone.events import limits
from runstone.events.artifact_paths import MARKER
from runstone_gateway.mlflow.errors import MlflowError, invalid
from runstone_gateway.stores.leftovers import TEMPORARY

_DECODINGS: Final = 10
"""A path that can be decoded more often than this is nobody's honest file name."""

_RUN: Final = re.compile("[0-9a-f]{32}")
_MODEL: Final = re.compile("m-[0-9a-zA-Z]{1,64}")


@dataclass(frozen=True, slots=True)
class Owner:
    """Attributes:
    run_id, model_id: whose file it is; the other one is empty.
    path: within the run's or model's artifacts; empty where that is the whole folder.
    """

    run_id: str
    model_id: str
    path: str


def decoded(raw: str) -> str:
    """The text that a percent-encoded part of an address stands for. Raises `MlflowError`."""
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise invalid("Invalid path: it is not UTF-8.") from None


def check_path(path: str) -> str:
    """*path*, which is decoded, where it is relative and stays where it claims to be.

    Raises:
        MlflowError: for anything else.
    """
    names = [len(name.encode(errors="replace")) for name in path.split("/")]
    if sum(names) + len(names) - 1 > limits.ARTIFACT_PATH_MAX or max(names) > limits.ARTIFACT_NAME_MAX:
        raise invalid(
            f"Invalid path: it may have {limits.ARTIFACT_PATH_MAX} bytes of UTF-8, and "
            f"{limits.ARTIFACT_NAME_MAX} in each name."
        )
    plain = path
    for _ in range(_DECODINGS):
        _check_level(plain)
        again = unquote(plain)
        if again == plain:
            break
        plain = again
    else:
        raise invalid("Invalid path")
    return path


def check_reading(path: str) -> str:
    """The same for a path that is only looked at, which may have empty parts and ``.``; without them.

    Raises:
        MlflowError: as `check_path`.
    """
    if path.startswith("/"):
        raise invalid("Invalid path")
    return check_path("/".join(name for name in path.split("/") if name not in {"", "."}))


def _check_level(path: str) -> None:
    names = path.split("/")
    if "#" in path or ".." in names or path.startswith("/") or PureWindowsPath(path).drive:
        raise invalid("Invalid path")
    if path.casefold().startswith("file:"):
        raise invalid("Invalid path")
    if "\\" in path or any(c < " " or "\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff" for c in path):
        raise invalid(
            "Invalid path: it has a backslash, a control character or half a surrogate pair; use forward "
            "slashes and printable characters."
        )
    if path and any(name in {"", "."} for name in names):
        raise invalid("Invalid path: it has an empty part or '.'.")


def check_file(path: str) -> str:
    """The same for a path that must name something a client may write, read or delete."""
    check_path(path)
    if not path or is_hidden(path):
        raise MlflowError("INVALID_PARAMETER_VALUE", "Invalid path: it names no file of a run or model.")
    return path


def check_new_file(path: str) -> str:
    """The same for a path that a file is about to get: not that of a folder that runs or models need."""
    names = check_file(path).split("/")
    match names:
        case [experiment]:
            is_folder = experiment.isdecimal()
        case [experiment, name]:
            is_folder = experiment.isdecimal() and (name == "models" or bool(_RUN.fullmatch(name)))
        case [experiment, "models", model]:
            is_folder = experiment.isdecimal() and bool(_MODEL.fullmatch(model))
        case _:
            owner = owner_of(path)
            is_folder = owner is not None and not owner.path
    if is_folder:
        raise invalid("Invalid path: it is an experiment's, run's or model's folder; name a file in it.")
    return path


def is_hidden(key: str) -> bool:
    """Whether *key* is of the store's own: its marker, files on their way, texts too large for events."""
    names = key.split("/")
    return (
        names[0] == MARKER
        or TEMPORARY.fullmatch(names[-1]) is not None
        or (
            len(names) > 2
            and names[0].isdecimal()
            and names[2] == "fields"
            and bool(_RUN.fullmatch(names[1]))
        )
    )


def is_listed(folder: str, name: str) -> bool:
    """Whether clients are told of *name* in *folder*: MLflow's refuse all for one name that leads away."""
    try:
        check_path(name)
    except MlflowError:
        return False
    return not is_hidden(f"{folder}/{name}" if folder else name)


def owner_of(key: str) -> Owner | None:
    """Whose the file (or folder) at *key* is; None where the key is no run's and no model's."""
    names = key.split("/")
    for at in range(1, len(names)):
        if names[at] != "artifacts":
            continue
        path = "/".join(names[at + 1 :])
        if at > 1 and names[at - 2] == "models" and _MODEL.fullmatch(names[at - 1]):
            return Owner("", names[at - 1], path)
        if _RUN.fullmatch(names[at - 1]):
            return Owner(names[at - 1], "", path)
    return None
