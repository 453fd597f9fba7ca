"""What a spool looks like in a terminal: a line per session, everything about some, what is damaged.

Pure: reports of `spool.inspection` in, lines or JSON's objects out. *width* is the terminal's in cells, or
null where the output is no terminal and nothing is cut.
"""

from collections.abc import Sequence
from typing import Any, Final

from runstone import table
from runstone.run_tables import moment, size
from runstone.spool.inspection import Finding, SegmentReport, SessionReport, SpoolReport
from runstone.table import Row

_ABSENT: Final = "-"


def listing(report: SpoolReport, width: int | None, *, bold: bool) -> list[str]:
    """A line per session, then what waits in all, what is known of the destinations and what is wrong."""
    if not (report.sessions or report.rejected or report.findings):
        return [f"{report.path}: nothing in the spool"]
    head = Row(
        ("SESSION", "STATE", "BOOT", "WAITING", "SEGMENTS", "FILES", "STARTED", "PROGRAM", "DESTINATION"),
        strong=True,
    )
    rows = [head, *(Row(_listed(session)) for session in _by_age(report))]
    waiting = sum(session.waiting for session in report.sessions)
    return [
        *_lines(rows, width, bold=bold),
        f"{_count(len(report.sessions), 'session')}, {size(waiting)} of records wait to be delivered",
        *_remarks(report),
        *_findings(report.all_findings),
    ]


def _listed(session: SessionReport) -> tuple[str, ...]:
    n, _bytes = session.uploads
    return (
        session.session,
        session.state,
        session.boot,
        size(session.waiting),
        str(len(session.segments)),
        str(n),
        moment(_started(session)),
        str(session.told.get("program") or _ABSENT),
        session.uri or _ABSENT,
    )


def details(report: SpoolReport, width: int | None, *, bold: bool) -> list[str]:
    """Everything about each session: what it is, its segments, its streams, what is wrong."""
    lines: list[str] = []
    for session in _by_age(report):
        if lines:
            lines.append("")
        lines += _one(session, width, bold=bold)
    return [*lines, *_remarks(report), *_findings(report.findings)] or [f"{report.path}: no sessions"]


def _one(session: SessionReport, width: int | None, *, bold: bool) -> list[str]:
    told = session.told
    files, bytes_of_files = session.uploads
    acknowledged = session.acknowledged
    facts = {
        "session": session.session,
        "state": session.state
        + {"this": "", "earlier": ", of an earlier boot"}.get(session.boot, ", of another machine"),
        "destination": session.uri or _ABSENT,
        "process": " ".join(f"{what} {told.get(what, _ABSENT)}" for what in ("pid", "user", "host")),
        "program": str(told.get("program") or _ABSENT),
        "started": moment(_started(session)),
        "waiting": f"{size(session.waiting)} of records, {_count(files, 'file')} of {size(bytes_of_files)}",
        "acknowledged": f"segment {acknowledged[0]} up to {acknowledged[1]}" if acknowledged else "nothing",
        "folder": str(session.path),
    }
    lines = _lines([Row((key, value)) for key, value in facts.items()], width, bold=bold)
    segments = [Row(_segment(segment)) for segment in session.segments]
    if segments:
        head = Row(
            ("SEGMENT", "SIZE", "USED", "WAITING", "POINTS", "EVENTS", "SERIES", "CLOSED"), strong=True
        )
        lines += ["", *_lines([head, *segments], width, bold=bold)]
    streams = [Row(_stream(name, session)) for name in session.streams]
    if streams:
        head = Row(("STREAM", "RECORDS", "NEXT SEQ", "DROPPED", "MISSING", "EVENTS"), strong=True)
        lines += ["", *_lines([head, *streams], width, bold=bold)]
    lines += [f"refused and not declared yet: {r.n} records of {r.stream}" for r in session.refused]
    return lines + _findings(session.findings)


def _segment(segment: SegmentReport) -> tuple[str, ...]:
    closed = {True: "yes", False: "no", None: _ABSENT}[segment.closed]
    return (
        str(segment.number), size(segment.size), size(segment.used), size(segment.waiting),
        str(segment.points), str(segment.events), str(segment.series), closed,
    )  # fmt: skip


def _stream(name: str, session: SessionReport) -> tuple[str, ...]:
    stream = session.streams[name]
    missing = sum(n for _first, n in stream.missing)
    events = ", ".join(f"{n} {kind}" for kind, n in stream.events.items())
    return (
        name,
        str(stream.records),
        str(stream.next_seq),
        str(stream.dropped),
        str(missing),
        events or _ABSENT,
    )


def verdict(report: SpoolReport) -> list[str]:
    """What is damaged, and how much was read."""
    segments = [segment for session in report.sessions for segment in session.segments]
    records = sum(segment.points + segment.events + segment.series for segment in segments)
    found = report.all_findings
    read = ", ".join(
        (_count(len(report.sessions), "session"), _count(len(segments), "segment"), _count(records, "record"))
    )
    return [*_findings(found), f"{read}: {_count(len(found), 'finding') if found else 'no damage'}"]


def as_json(report: SpoolReport) -> dict[str, Any]:
    """The report as the commands' JSON; ``docs/spool.md`` says what the fields mean."""
    return {
        "path": str(report.path),
        "sessions": [
            {
                "session": session.session,
                "path": str(session.path),
                "boot": session.boot,
                "state": session.state,
                "uri": session.uri,
                "told": session.told,
                "waiting_bytes": session.waiting,
                "acknowledged": list(session.acknowledged) if session.acknowledged else None,
                "segments": [
                    {
                        "number": segment.number,
                        "size": segment.size,
                        "used": segment.used,
                        "waiting": segment.waiting,
                        "closed": segment.closed,
                        "points": segment.points,
                        "events": segment.events,
                        "series": segment.series,
                    }
                    for segment in session.segments
                ],
                "streams": {
                    name: {
                        "records": stream.records,
                        "next_seq": stream.next_seq,
                        "dropped": stream.dropped,
                        "missing": [list(found) for found in stream.missing],
                        "events": dict(stream.events),
                    }
                    for name, stream in session.streams.items()
                },
                "refused": [
                    {"stream": r.stream, "first_seq": r.first_seq, "count": r.n} for r in session.refused
                ],
                "uploads": {"count": session.uploads[0], "bytes": session.uploads[1]},
            }
            for session in _by_age(report)
        ],
        "destinations": report.destinations,
        "rejected": [str(path) for path in report.rejected],
        "findings": [{"path": str(found.path), "what": found.what} for found in report.all_findings],
    }


def _by_age(report: SpoolReport) -> list[SessionReport]:
    return sorted(report.sessions, key=lambda session: _started(session) or 0)


def _started(session: SessionReport) -> int | None:
    found = session.told.get("started_ms")
    return found if isinstance(found, int) else None


def _remarks(report: SpoolReport) -> list[str]:
    """What is wrong with the destinations, and what was refused for good."""
    found = []
    for told in report.destinations:
        uri, finding = told.get("uri"), told.get("finding")
        if finding:
            found.append(table.clean(f"{uri}: {finding}"))
    if report.rejected:
        what = _count(len(report.rejected), "record or file", "records or files")
        folders = sorted({str(path.parent) for path in report.rejected})
        found.append(table.clean(f"{what} refused for good: {', '.join(folders)}"))
    return found


def _findings(found: Sequence[Finding]) -> list[str]:
    """One line each, never cut: half a path is none."""
    return [table.clean(f"damage: {finding.path} {finding.what}") for finding in found]


def _lines(rows: Sequence[Row], width: int | None, *, bold: bool) -> list[str]:
    columns = table.widths(rows, width, narrowest=6)
    if columns is None:  # narrower than any table: lines of their own are still readable
        return [table.cut(table.clean("  ".join(row.cells)), width or 0) for row in rows]
    return table.lines(rows, columns, bold=bold)


def _count(n: int, what: str, many: str = "") -> str:
    return f"{n} {what if n == 1 else many or what + 's'}"
