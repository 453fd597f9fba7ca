"""``runstone runs list|show|compare``: tables from the read API at RUNSTONE_TRACKING_URI."""

import argparse
from typing import TYPE_CHECKING, Any, Final

from runstone import arguments, terminal

if TYPE_CHECKING:
    from runstone.api_client import ReadApi

HELP = "list runs, show one, compare several"

_PAGE_MAX: Final = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="list|show|compare", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="print the read API's JSON instead of a table")

    listed = verbs.add_parser("list", parents=[shared], help="runs, newest first", description="List runs.")
    listed.add_argument(
        "--experiment",
        action="append",
        type=arguments.text,
        metavar="NAME",
        help="only of this one; repeatable",
    )
    listed.add_argument(
        "--filter", default="", type=arguments.text, metavar="TEXT", help='such as "metrics.accuracy > 0.9"'
    )
    listed.add_argument(
        "--order-by",
        action="append",
        type=arguments.text,
        metavar="TERM",
        help='such as "metrics.accuracy DESC"',
    )
    listed.add_argument("--limit", type=_positive, default=20, help="how many runs (default: %(default)s)")
    listed.add_argument("--view", choices=("active", "deleted", "all"), default="active")

    shown = verbs.add_parser("show", parents=[shared], help="one run", description="Show one run.")
    shown.add_argument("run", type=arguments.run_id, help="its id, or a beginning that no other run's has")

    compared = verbs.add_parser(
        "compare", parents=[shared], help="runs side by side", description="Show runs side by side."
    )
    compared.add_argument(
        "runs",
        nargs="+",
        type=arguments.run_id,
        metavar="run",
        help="ids, or beginnings that no other run's has",
    )


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1")
    return int(text)


def run(args: argparse.Namespace) -> int:
    from runstone.api_client import ReadApi
    from runstone.configuration import read_configuration

    api = ReadApi(read_configuration().tracking_uri)
    return int({"list": _list, "show": _show, "compare": _compare}[args.verb](api, args))


def _list(api: "ReadApi", args: argparse.Namespace) -> int:
    from runstone import run_tables

    asked: dict[str, Any] = {"filter": args.filter, "order_by": args.order_by or [], "view": args.view}
    if args.experiment:
        asked["experiment_names"] = args.experiment
    runs: list[dict[str, Any]] = []
    token = None
    while len(runs) < args.limit:
        page = api.search_runs(**asked, limit=min(_PAGE_MAX, args.limit - len(runs)), page_token=token)
        runs += page["runs"]
        token = page["next_page_token"]
        if token is None:
            break
    if args.json:
        return terminal.print_json({"runs": runs})
    if not runs:
        print("no runs match")
        return 0
    terminal.print_lines(run_tables.listing(runs, terminal.width(), bold=terminal.bold()))
    if token is not None:
        print(f"… and more; --limit shows them (now {args.limit})")
    return 0


def _show(api: "ReadApi", args: argparse.Namespace) -> int:
    from runstone import run_tables

    found = api.run(api.full_id(args.run))
    if args.json:
        return terminal.print_json(found)
    terminal.print_lines(
        run_tables.one(found, api.artifacts(found["run_id"]), terminal.width(), bold=terminal.bold())
    )
    return 0


def _compare(api: "ReadApi", args: argparse.Namespace) -> int:
    from runstone import run_tables

    found = api.compare([api.full_id(text) for text in args.runs])
    if args.json:
        return terminal.print_json(found)
    artifacts = {run["run_id"]: api.artifacts(run["run_id"]) for run in found["runs"]}
    terminal.print_lines(run_tables.comparison(found, artifacts, terminal.width(), bold=terminal.bold()))
    return 0
