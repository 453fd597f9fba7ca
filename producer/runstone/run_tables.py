"""What runs look like in a terminal: a list of them, one of them, several side by side.

Pure: JSON of the read API in, lines out. *width* is the terminal's in cells, or null where the output is no
terminal and nothing is cut; *bold* says whether what stands out is shown in bold as well as by its marker.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from runstone import table
from runstone.table import Row
from runstone.texts import NOTE_TAG

_MARK: Final = "≠"
_ABSENT: Final = "-"
_NARROWEST_RUN: Final = 14
_UNBOUNDED: Final = 1_000_000

_FILES_COMPARED: Final = 20
"""Files of each run in a comparison; a checkpoint a step would bury the table above."""

CHILDREN_SHOWN: Final = 20
"""Runs within a run that are listed; a sweep has thousands."""

Run = Mapping[str, Any]


def listing(runs: Sequence[Run], width: int | None, *, bold: bool) -> list[str]:
    """A line per run: id, name, experiment, status, user, start, duration, metrics."""
    head = Row(("RUN", "NAME", "EXPERIMENT", "STATUS", "USER", "STARTED", "TOOK", "METRICS"), strong=True)
    rows = [head, *(Row(_listed(run)) for run in runs)]
    columns = table.widths(rows, width, narrowest=6)
    if columns is None:  # narrower than any table: lines of their own are still readable
        return [table.cut(table.clean("  ".join(row.cells)), width or 0) for row in rows]
    return table.lines(rows, columns, bold=bold)


def _listed(run: Run) -> tuple[str, ...]:
    metrics = "  ".join(f"{key}={number(value)}" for key, value in run["metrics"].items())
    return (
        run["run_id"],
        _text(run["name"]),
        _text(run["experiment_name"]),
        _status(run),
        _text(run["user"]),
        moment(run["start_time"]),
        duration(run["start_time"], run["end_time"]),
        metrics or _ABSENT,
    )


def one(
    run: Run,
    artifacts: Sequence[Mapping[str, Any]],
    children: Sequence[Run],
    width: int | None,
    *,
    bold: bool,
) -> list[str]:
    """Everything of a run: what it is, params, metrics, tags, context, its files with their addresses.

    *children* are the runs within it, one more than are shown where there are more.
    """
    facts = {
        "run": run["run_id"],
        "name": _text(run["name"]),
        "experiment": _text(run["experiment_name"]),
        **({"parent": run["parent_run_id"]} if run["parent_run_id"] else {}),
        "status": _status(run) + (f" ({run['status_reason']})" if run["status_reason"] else ""),
        "user": _text(run["user"]),
        "started": moment(run["start_time"]),
        "took": duration(run["start_time"], run["end_time"]),
        **({"last heard": moment(run["last_heard_at"])} if run.get("stale") else {}),
        "complete": _completeness(run["completeness"]),
    }
    context = {key: str(value) for key, value in run["context"].items() if value not in (None, "", {}, [])}
    context.pop("packages", None)
    tags = {key: value for key, value in run["tags"].items() if key != NOTE_TAG}
    conflicts = {key: ", ".join(values) for key, values in run["param_conflicts"].items()}
    found: list[str] = []
    for title, values in (
        ("", facts),
        ("PARAMS", run["params"]),
        ("CONFLICTING PARAMS", conflicts),
        ("METRICS", {key: number(value) for key, value in run["metrics"].items()}),
        ("TAGS", tags),
        ("DATASETS", _datasets(run)),
        ("CONTEXT", context),
    ):
        if values:
            found += _titled(title, [Row((key, value)) for key, value in values.items()], width, bold=bold)
    if children:
        found += _children(run, children, width, bold=bold)
    if note := run["tags"].get(NOTE_TAG):
        found += ["", *table.lines([Row(("NOTE",), strong=True)], [len("NOTE")], bold=bold)]
        found += [f"  {table.clean(line)}".rstrip() for line in note.splitlines()]
    return found + _files({run["run_id"]: artifacts}, {}, width, bold=bold)


def _datasets(run: Run) -> dict[str, str]:
    """What is said of each dataset: its digest, and what it was for."""
    found: dict[str, list[str]] = {}
    for dataset in run.get("datasets", ()):
        said = dataset["digest"] + (f" ({dataset['context']})" if dataset["context"] else "")
        found.setdefault(dataset["name"], []).append(said)
    return {name: ", ".join(said) for name, said in found.items()}


def _children(run: Run, children: Sequence[Run], width: int | None, *, bold: bool) -> list[str]:
    shown = children[:CHILDREN_SHOWN]
    lines = _titled(
        "RUNS IN IT",
        [Row((child["run_id"], _text(child["name"]), _status(child))) for child in shown],
        width,
        bold=bold,
    )
    if len(shown) < len(children):
        asked = f"parent_run_id = '{run['run_id']}'"
        lines.append(table.cut(f'  … and more: runstone runs list --filter "{asked}"', width or _UNBOUNDED))
    return lines


def _titled(title: str, rows: Sequence[Row], width: int | None, *, bold: bool) -> list[str]:
    indent = "  " if title else ""
    room = None if width is None else max(1, width - len(indent))
    columns = table.widths(rows, room, narrowest=1) or [1] * len(rows[0].cells)
    body = [indent + line for line in table.lines(rows, columns, bold=bold)]
    return (
        ["", *table.lines([Row((title,), strong=True)], [table.cells(title)], bold=bold), *body]
        if title
        else body
    )


def comparison(
    found: Mapping[str, Any],
    artifacts: Mapping[str, Sequence[Mapping[str, Any]]],
    width: int | None,
    *,
    bold: bool,
) -> list[str]:
    """Runs side by side: params that differ are marked (and bold), metrics, files with their addresses.

    As many runs as fit stand in one table, the others in further ones below.
    """
    runs = list(found["runs"])
    names = {run["run_id"]: run["name"] or run["run_id"] for run in runs}
    lines: list[str] = []
    while runs:
        fitting = len(runs)
        while True:
            rows = _side_by_side(found, runs[:fitting])
            columns = table.widths(rows, width, narrowest=_NARROWEST_RUN)
            if columns is not None or fitting == 1:
                break
            fitting -= 1
        columns = columns or table.widths(rows, width, narrowest=1) or [1] * len(rows[0].cells)
        lines += [*([""] if lines else []), *table.lines(rows, columns, bold=bold)]
        runs = runs[fitting:]
    return lines + _files(artifacts, names, width, bold=bold)


def _side_by_side(found: Mapping[str, Any], runs: Sequence[Run]) -> list[Row]:
    empty = [""] * len(runs)

    def of_runs(title: str, tell: Any) -> Row:
        return Row(("", title, *(tell(run) for run in runs)))

    rows = [
        Row(("", "", *(_text(run["name"]) for run in runs)), strong=True),
        of_runs("run", lambda run: run["run_id"]),
        of_runs("experiment", lambda run: _text(run["experiment_name"])),
        of_runs("status", _status),
        of_runs("user", lambda run: _text(run["user"])),
        of_runs("started", lambda run: moment(run["start_time"])),
        of_runs("took", lambda run: duration(run["start_time"], run["end_time"])),
    ]
    differ, agree = found["params"]["differ"], found["params"]["agree"]
    if differ or agree:
        rows.append(Row(("", "PARAMS", *empty), strong=True))
    for key in sorted({*differ, *agree}):
        values = [_text(differ[key][run["run_id"]]) if key in differ else agree[key] for run in runs]
        rows.append(Row((_MARK if key in differ else "", key, *values), strong=key in differ))
    if found["metrics"]:
        rows.append(Row(("", "METRICS", *empty), strong=True))
    for key, by_run in found["metrics"].items():
        rows.append(Row(("", key, *(number(by_run[run["run_id"]]) for run in runs))))
    return rows


def _files(
    artifacts: Mapping[str, Sequence[Mapping[str, Any]]],
    names: Mapping[str, str],
    width: int | None,
    *,
    bold: bool,
) -> list[str]:
    """Every file with the address of its content. Addresses are never cut: half a link is none."""
    if not any(artifacts.values()):
        return []
    found = ["", *table.lines([Row(("FILES",), strong=True)], [len("FILES")], bold=bold)]
    for run_id, pointers in artifacts.items():
        indent = "  "
        shown = pointers
        if run_id in names and pointers:
            found.append(table.cut(indent + table.clean(names[run_id]), width or _UNBOUNDED))
            indent, shown = "    ", pointers[:_FILES_COMPARED]
        for pointer in shown:
            name = f"{indent}{table.clean(pointer['path'])} ({size(pointer['size'])})"
            found += [table.cut(name, width or _UNBOUNDED), f"{indent}  {pointer['url']}"]
        if len(shown) < len(pointers):
            more = f"{indent}… and {len(pointers) - len(shown)} more: runstone runs show {run_id}"
            found.append(table.cut(more, width or _UNBOUNDED))
    return found


def _text(value: object) -> str:
    return _ABSENT if value is None or value == "" else str(value)


def _status(run: Run) -> str:
    # an older server's read API does not say whether a run is stale
    stale, deleted = " (stale)" * run.get("stale", False), " deleted" * (run["lifecycle_stage"] == "deleted")
    return f"{run['status']}{stale}{deleted}"


def _completeness(found: Mapping[str, Any]) -> str:
    if found["complete"]:
        return "yes"
    lost = sum(len(session["declared"]) for session in found["sessions"])
    parts = (("gaps", found["gaps"]), ("dead letters", found["dead_letters"]), ("ranges declared lost", lost))
    told = ", ".join(f"{count} {what}" for what, count in parts if count)
    return f"no: {told or 'a machine found damage in what was recorded'}"


def number(value: object) -> str:
    """A metric's value as people read it: six digits that count."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _text(value)
    return f"{value:.6g}"


def moment(ms: int | None) -> str:
    """A time in ms as this machine's local time."""
    if ms is None:
        return _ABSENT
    try:
        return datetime.fromtimestamp(ms // 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):  # beyond the year 9999 here, or out of a damaged file
        return f"{ms} ms"


def duration(start_ms: int | None, end_ms: int | None) -> str:
    """How long from one time to another."""
    if start_ms is None or end_ms is None or end_ms < start_ms:
        return _ABSENT
    seconds = (end_ms - start_ms) / 1000
    if seconds < 1:
        return f"{end_ms - start_ms} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    return f"{minutes} min {int(seconds % 60)} s" if hours == 0 else f"{hours} h {minutes % 60} min"


def size(count: int) -> str:
    """A number of bytes as people read it."""
    if count < 1024:
        return f"{count} B"
    amount = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        amount /= 1024
        if amount < 1024:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1024:.1f} TiB"
