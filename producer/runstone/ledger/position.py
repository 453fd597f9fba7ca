"""A position: for each partition the offset to go on from, as a short text that a person can keep."""

import re
from collections.abc import Mapping
from typing import Final

from runstone.exceptions import InvalidInputError

CATALOG: Final = -1
"""Stands for the catalog's one partition among those of the events."""

_PART: Final = re.compile(r"(catalog|\d{1,5})=(\d{1,19})")


def to_text(offsets: Mapping[int, int]) -> str:
    """Such as ``catalog=12,0=5,1=7``."""
    return ",".join(f"{'catalog' if n == CATALOG else n}={at}" for n, at in sorted(offsets.items()))


def from_text(text: str) -> dict[int, int]:
    """The inverse of `to_text`.

    Raises:
        InvalidInputError: the text is no position.
    """
    found: dict[int, int] = {}
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise InvalidInputError(
                f"{text[:80]!r} is no position; expected one that was printed, such as 'catalog=12,0=5,1=7'"
            )
        found[CATALOG if match[1] == "catalog" else int(match[1])] = int(match[2])
    return found
