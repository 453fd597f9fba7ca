"""What experiments look like in a terminal. Pure: JSON of the read API in, lines out."""

from collections.abc import Mapping, Sequence
from typing import Any

from runstone import table
from runstone.run_tables import moment
from runstone.table import Row


def listing(experiments: Sequence[Mapping[str, Any]], width: int | None, *, bold: bool) -> list[str]:
    """A line per experiment: id, name, stage, when it was created and last changed, tags."""
    rows = [Row(("EXPERIMENT", "NAME", "STAGE", "CREATED", "CHANGED", "TAGS"), strong=True)]
    for found in experiments:
        tags = "  ".join(f"{key}={value}" for key, value in found["tags"].items())
        rows.append(
            Row(
                (
                    str(found["experiment_id"]),
                    found["name"],
                    found["lifecycle_stage"],
                    moment(found["creation_time"] or None),
                    moment(found["last_update_time"] or None),
                    tags or "-",
                )
            )
        )
    columns = table.widths(rows, width, narrowest=6)
    if columns is None:  # narrower than any table: lines of their own are still readable
        return [table.cut(table.clean("  ".join(row.cells)), width or 0) for row in rows]
    return table.lines(rows, columns, bold=bold)
