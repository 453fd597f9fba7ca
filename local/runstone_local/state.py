"""What runs in a data folder, written down: for ``runstone status``, and for the ``up`` after a kill -9."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

PARTS = ("kafka", "postgres", "worker", "gateway", "api")


@dataclass(frozen=True, slots=True)
class PartState:
    """One part as it was last started; *pid* and *start* are None for a part that somebody else runs."""

    name: str
    address: str | None
    pid: int | None = None
    start: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """One installation as ``up`` runs it; *api_url* is the read API behind the gateway."""

    pid: int
    start: str | None
    address: str
    parts: tuple[PartState, ...]


def write(file: Path, state: State) -> None:
    """Replace *file*, so that a reader sees the old state or the new one."""
    written = file.with_suffix(".new")
    with open(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:  # noqa: PTH123  opened with a mode
        json.dump(asdict(state), out, indent=1)
    written.replace(file)


def read(file: Path) -> State | None:
    """The state in *file*, or None when there is none that can be read."""
    try:
        found = json.loads(file.read_text())
        parts = tuple(PartState(**part) for part in found.pop("parts"))
        return State(**found, parts=parts)
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def with_part(parts: Sequence[PartState], changed: PartState) -> tuple[PartState, ...]:
    """*parts* with the one of that name replaced or added, in the order of ``PARTS``."""
    kept = [part for part in parts if part.name != changed.name]
    return tuple(sorted([*kept, changed], key=lambda part: PARTS.index(part.name)))
