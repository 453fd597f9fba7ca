"""What a run's files look like in a terminal.

Pure: JSON of the read API in, lines out; *width* and *bold* as in ``run_tables``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from runstone import table
from runstone.run_tables import moment, size
from runstone.table import Row


def listing(artifacts: Sequence[Mapping[str, Any]], width: int | None, *, bold: bool) -> list[str]:
    """A line per file: path, size, type, when it was logged, SHA-256."""
    rows = [Row(("PATH", "SIZE", "TYPE", "LOGGED", "SHA-256"), strong=True)]
    rows += [
        Row((one["path"], size(one["size"]), one["media_type"], moment(one["time"]), one["sha256"] or "-"))
        for one in artifacts
    ]
    columns = table.widths(rows, width, narrowest=8)
    if columns is None:
        return [table.cut(table.clean("  ".join(row.cells)), width or 0) for row in rows]
    return table.lines(rows, columns, bold=bold)
