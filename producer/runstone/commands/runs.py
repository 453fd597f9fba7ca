"""``runstone runs list|show|compare|delete|restore|tag``, by the server at RUNSTONE_TRACKING_URI."""

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final

from runstone import arguments, terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from runstone.api_writes import WriteApi

HELP = "list, show, compare, delete, restore and tag runs of the server at RUNSTONE_TRACKING_URI"

_PAGE_MAX: Final = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="list|show|compare|delete|restore|tag", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="print the server's JSON instead of text")

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

    for verb, what, told in (
        ("delete", "hide runs", "Hide runs. Nothing is lost; 'restore' brings them back."),
        ("restore", "show deleted runs again", "Show deleted runs again."),
    ):
        changed = verbs.add_parser(verb, parents=[shared], help=what, description=told)
        changed.add_argument(
            "runs",
            nargs="+",
            type=arguments.run_id,
            metavar="run",
            help="ids, or beginnings that no other run's has",
        )

    tagged = verbs.add_parser("tag", parents=[shared], help="set and delete tags", description="Tag a run.")
    tagged.add_argument("run", type=arguments.run_id, help="its id, or a beginning that no other run's has")
    tagged.add_argument("tags", nargs="*", type=_tag, metavar="key=value", help="tags to set")
    tagged.add_argument(
        "--delete", action="append", default=[], type=arguments.text, metavar="KEY", help="a tag to delete"
    )


def _tag(text: str) -> tuple[str, str]:
    key, equals, value = arguments.text(text).partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is no key=value")
    return key, value


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1")
    return int(text)


def run(args: argparse.Namespace) -> int:
    from runstone.api_writes import WriteApi
    from runstone.configuration import read_configuration

    verbs = {
        "list": _list,
        "show": _show,
        "compare": _compare,
        "delete": _delete,
        "restore": _restore,
        "tag": _tagged,
    }
    return verbs[args.verb](WriteApi(read_configuration().tracking_uri), args)


def _list(api: "WriteApi", args: argparse.Namespace) -> int:
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
        unknown = [n for n in args.experiment or () if not api.experiments(name=n, view="all")["experiments"]]
        print(f"no experiment has the name {unknown[0]!r}" if unknown else "no runs match")
        return 0
    terminal.print_lines(run_tables.listing(runs, terminal.width(), bold=terminal.bold()))
    if token is not None:
        print(f"… and more; --limit shows them (now {args.limit})")
    return 0


def _show(api: "WriteApi", args: argparse.Namespace) -> int:
    from runstone import run_tables

    found = api.run(api.full_id(args.run))
    if args.json:
        return terminal.print_json(found)
    children = api.search_runs(
        filter=f"parent_run_id = '{found['run_id']}'", limit=run_tables.CHILDREN_SHOWN + 1
    )
    lines = run_tables.one(
        found,
        api.artifacts(found["run_id"]),
        children["runs"],
        terminal.width(),
        bold=terminal.bold(),
    )
    terminal.print_lines(lines)
    return 0


def _compare(api: "WriteApi", args: argparse.Namespace) -> int:
    from runstone import run_tables

    found = api.compare([api.full_id(text) for text in args.runs])
    if args.json:
        return terminal.print_json(found)
    artifacts = {run["run_id"]: api.artifacts(run["run_id"]) for run in found["runs"]}
    terminal.print_lines(run_tables.comparison(found, artifacts, terminal.width(), bold=terminal.bold()))
    return 0


def _delete(api: "WriteApi", args: argparse.Namespace) -> int:
    return _each(api, args, api.delete_run, ("is deleted", "was deleted already"))


def _restore(api: "WriteApi", args: argparse.Namespace) -> int:
    return _each(api, args, api.restore_run, ("is restored", "was active already"))


def _each(
    api: "WriteApi",
    args: argparse.Namespace,
    change: "Callable[[str], dict[str, Any]]",
    words: tuple[str, str],
) -> int:
    """Change each run and tell of it at once; one that cannot be changed keeps no other; the code is 1."""
    from runstone.exceptions import InvalidInputError, NoSuchRunError

    answers: list[dict[str, Any]] = []
    failed = False
    for text in args.runs:
        try:
            run_id = api.full_id(text)
            answers.append(change(run_id))
        except (InvalidInputError, NoSuchRunError) as wrong:
            print(f"runstone: {wrong}", file=sys.stderr)
            failed = True
        else:
            if not args.json:
                _tell(run_id, answers[-1], *words)
    if args.json:
        terminal.print_json({"runs": answers})
    return int(failed)


def _tagged(api: "WriteApi", args: argparse.Namespace) -> int:
    from runstone.exceptions import InvalidInputError

    if not (args.tags or args.delete):
        raise InvalidInputError("nothing to do; expected key=value or --delete KEY")
    run_id = api.full_id(args.run)
    answer = api.tag_run(run_id, dict(args.tags), args.delete)
    if args.json:
        return terminal.print_json({"runs": [answer]})
    _tell(run_id, answer, "is tagged", "had these tags already")
    return 0


def _tell(run_id: str, answer: dict[str, Any], changed: str, unchanged: str) -> None:
    line = f"run {run_id} {changed if answer['changed'] else unchanged}"
    if answer.get("experiment_deleted"):
        line += "; its experiment is deleted, and the run hidden as long as that is"
    if not answer["applied"]:
        line += "; the read model is behind and shows it later"
    terminal.print_lines([line])
