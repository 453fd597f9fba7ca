"""Plain-text tables that fit a terminal.

Columns are counted in cells of a terminal: wide characters take two, combining ones none. What could steer
a terminal (control characters, changes of direction) in a name that somebody logged never reaches it.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

GAP: Final = "  "
_BOLD: Final = ("\x1b[1m", "\x1b[0m")
_NARROWEST: Final = 8


@dataclass(frozen=True, slots=True)
class Row:
    """The texts of one line; *strong* ones stand out where the terminal can show it."""

    cells: Sequence[str]
    strong: bool = False


def clean(text: str) -> str:
    """*text* on one line, without anything but visible characters and spaces."""
    return "".join(c if unicodedata.category(c)[0] != "C" and c not in "\u2028\u2029" else " " for c in text)


def cells(text: str) -> int:
    """How many cells of a terminal *text* takes."""
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def cut(text: str, width: int) -> str:
    """*text*, or as much of it as fits into *width* cells with an ellipsis."""
    if cells(text) <= width:
        return text
    kept, used = [], 1
    for character in text:
        used += _width(character)
        if used > width:
            break
        kept.append(character)
    return "".join(kept) + "…"


def widths(rows: Sequence[Row], width: int | None, narrowest: int = _NARROWEST) -> list[int] | None:
    """How wide each column becomes so that the lines fit into *width* cells (null: as wide as they like).

    The widest column gives first, down to *narrowest* each; null where even that does not fit.
    """
    found = [
        max(cells(clean(text)) for text in column) for column in zip(*(r.cells for r in rows), strict=True)
    ]
    if width is None:
        return found
    room = width - len(GAP) * (len(found) - 1)
    while sum(found) > room:
        widest = max(range(len(found)), key=found.__getitem__)
        if found[widest] <= narrowest:
            return None
        others = sorted((n for at, n in enumerate(found) if at != widest), reverse=True)
        # down to the next widest at once, so that this ends after a few steps
        floor = max(narrowest, others[0] if others else 0)
        excess = sum(found) - room
        found[widest] = max(floor, found[widest] - excess) if found[widest] > floor else found[widest] - 1
    return found


def lines(rows: Sequence[Row], columns: Sequence[int], *, bold: bool) -> list[str]:
    """The lines of a table whose columns are *columns* cells wide."""
    return [_line(row, columns, bold=bold) for row in rows]


def _line(row: Row, columns: Sequence[int], *, bold: bool) -> str:
    texts = [cut(clean(text), width) for text, width in zip(row.cells, columns, strict=True)]
    padded = [text + " " * (width - cells(text)) for text, width in zip(texts, columns, strict=True)]
    line = GAP.join(padded).rstrip()
    return f"{_BOLD[0]}{line}{_BOLD[1]}" if bold and row.strong else line
