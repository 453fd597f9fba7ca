"""``runstone spool list|show|verify``: what lies in a spool, read where it lies, changing nothing."""

import argparse
from pathlib import Path

HELP = "look into a spool: what waits to be delivered, what is damaged"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="list|show|verify", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="print JSON instead of text")
    shared.add_argument(
        "path",
        nargs="?",
        metavar="PATH",
        help="a spool, a machine's or session's folder in one, or a segment; or the beginning of a session's "
        "id (default: RUNSTONE_SPOOL, else this user's spool)",
    )
    for verb, what in (
        ("list", "a line per session; quick, nothing but sizes is read"),
        ("show", "everything about each session: segments, streams, records"),
        ("verify", "read and check every record; exit code 1 where something is damaged"),
    ):
        verbs.add_parser(verb, parents=[shared], help=what, description=f"{what.capitalize()}.")


def run(args: argparse.Namespace) -> int:
    from runstone import spool_tables, terminal
    from runstone.exceptions import InvalidInputError
    from runstone.spool.inspection import SpoolReport, inspect

    place = _place(args.path)
    try:
        nothing_yet = args.path is None and not place.exists()
        report = SpoolReport(place) if nothing_yet else inspect(place, whole=args.verb != "list")
    except ValueError as wrong:
        raise InvalidInputError(str(wrong)) from None
    code = int(args.verb == "verify" and bool(report.all_findings))
    if args.json:
        terminal.print_json(spool_tables.as_json(report))
    elif args.verb == "verify":
        terminal.print_lines(spool_tables.verdict(report))
    else:
        tell = {"list": spool_tables.listing, "show": spool_tables.details}[args.verb]
        terminal.print_lines(tell(report, terminal.width(), bold=terminal.bold()))
    return code


def _place(named: str | None) -> Path:
    """The path that was named, or the session whose id begins so, or the user's spool."""
    from runstone.exceptions import InvalidInputError
    from runstone.spool.layout import spool_root

    if named is None:
        return spool_root()
    found = Path(named)
    if not found.exists() and named.isalnum():
        sessions = list(spool_root().glob(f"*/sessions/{named}*"))
        if len(sessions) > 1:
            raise InvalidInputError(
                f"the ids of {len(sessions)} sessions begin with {named!r}; type more of it"
            )
        if sessions:
            return sessions[0]
    return found
