"""``runstone runs list|show|compare``: tables from the read API at RUNSTONE_TRACKING_URI."""

import argparse
from typing import TYPE_CHECKING, Any, Final

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
        "--experiment", action="append", type=_text, metavar="NAME", help="only of this one; repeatable"
    )
    listed.add_argument(
        "--filter", default="", type=_text, metavar="TEXT", help='such as "metrics.accuracy > 0.9"'
    )
    listed.add_argument(
        "--order-by", action="append", type=_text, metavar="TERM", help='such as "metrics.accuracy DESC"'
    )
    listed.add_argument("--limit", type=_positive, default=20, help="how many runs (default: %(default)s)")
    listed.add_argument("--view", choices=("active", "deleted", "all"), default="active")

    shown = verbs.add_parser("show", parents=[shared], help="one run", description="Show one run.")
    shown.add_argument("run", type=_id, help="its id, or a beginning that no other run's has")

    compared = verbs.add_parser(
        "compare", parents=[shared], help="runs side by side", description="Show runs side by side."
    )
    compared.add_argument(
        "runs", nargs="+", type=_id, metavar="run", help="ids, or beginnings that no other run's has"
    )


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1")
    return int(text)


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{text!a} is no UTF-8") from None
    return text


def _id(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("a run's id is empty")
    return _text(text)


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
        return _print_json({"runs": runs})
    if not runs:
        print("no runs match")
        return 0
    _print(run_tables.listing(runs, _width(), bold=_bold()))
    if token is not None:
        print(f"… and more; --limit shows them (now {args.limit})")
    return 0


def _show(api: "ReadApi", args: argparse.Namespace) -> int:
    from runstone import run_tables

    found = api.run(_full_id(api, args.run))
    if args.json:
        return _print_json(found)
    _print(run_tables.one(found, api.artifacts(found["run_id"]), _width(), bold=_bold()))
    return 0


def _compare(api: "ReadApi", args: argparse.Namespace) -> int:
    from runstone import run_tables

    found = api.compare([_full_id(api, text) for text in args.runs])
    if args.json:
        return _print_json(found)
    artifacts = {run["run_id"]: api.artifacts(run["run_id"]) for run in found["runs"]}
    _print(run_tables.comparison(found, artifacts, _width(), bold=_bold()))
    return 0


def _full_id(api: "ReadApi", text: str) -> str:
    """The id of the one run whose id begins with *text*.

    Raises:
        NoSuchRunError: no run's id does, or several do.
    """
    from runstone.exceptions import NoSuchRunError

    if not text.isalnum() or len(text) >= 32:
        return text
    runs = api.search_runs(filter=f"run_id LIKE '{text}%'", view="all", limit=2)["runs"]
    if len(runs) > 1:
        if text in {run["run_id"] for run in runs}:
            return text
        raise NoSuchRunError(f"several runs' ids begin with {text!r}; type more of it")
    return str(runs[0]["run_id"]) if runs else text


def _print_json(found: object) -> int:
    import sys

    import orjson

    sys.stdout.flush()
    sys.stdout.buffer.write(orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return 0


def _print(lines: list[str]) -> None:
    import sys

    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")  # a terminal without Unicode still gets its table
    print("\n".join(lines))


def _width() -> int | None:
    import os
    import shutil
    import sys

    return shutil.get_terminal_size().columns if sys.stdout.isatty() or "COLUMNS" in os.environ else None


def _bold() -> bool:
    import os
    import sys

    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
