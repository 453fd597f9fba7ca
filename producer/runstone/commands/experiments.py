"""``runstone experiments list|rename|delete|restore``, by the server at RUNSTONE_TRACKING_URI."""

import argparse
from typing import TYPE_CHECKING, Any

from runstone import arguments, terminal

if TYPE_CHECKING:
    from runstone.api_writes import WriteApi

HELP = "list, rename, delete and restore experiments of the server at RUNSTONE_TRACKING_URI"

_NAMED = "its name, or its id"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="list|rename|delete|restore", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="print the server's JSON instead of text")

    listed = verbs.add_parser("list", parents=[shared], help="experiments by name", description="List them.")
    listed.add_argument("--view", choices=("active", "deleted", "all"), default="active")

    renamed = verbs.add_parser("rename", parents=[shared], help="another name", description="Rename one.")
    renamed.add_argument("experiment", type=arguments.text, help=_NAMED)
    renamed.add_argument("name", type=arguments.text, help="the new name")

    deleted = verbs.add_parser(
        "delete",
        parents=[shared],
        help="hide one and its runs",
        description="Hide an experiment and its runs. Nothing is lost; 'restore' brings all of it back.",
    )
    deleted.add_argument("experiment", type=arguments.text, help=_NAMED)

    restored = verbs.add_parser(
        "restore", parents=[shared], help="show a deleted one again", description="Restore one."
    )
    restored.add_argument("experiment", type=arguments.text, help=_NAMED)


def run(args: argparse.Namespace) -> int:
    from runstone.api_writes import WriteApi
    from runstone.configuration import read_configuration

    api = WriteApi(read_configuration().tracking_uri)
    return int(
        {"list": _list, "rename": _rename, "delete": _delete, "restore": _restore}[args.verb](api, args)
    )


def _list(api: "WriteApi", args: argparse.Namespace) -> int:
    from runstone import experiment_tables

    found: list[dict[str, Any]] = []
    asked = {"view": args.view, "limit": "1000"}
    while True:
        page = api.experiments(**asked)
        found += page["experiments"]
        if page["next_page_token"] is None:
            break
        asked["page_token"] = page["next_page_token"]
    if args.json:
        return terminal.print_json({"experiments": found})
    if not found:
        print("no experiments")
        return 0
    terminal.print_lines(experiment_tables.listing(found, terminal.width(), bold=terminal.bold()))
    return 0


def _rename(api: "WriteApi", args: argparse.Namespace) -> int:
    found = _named(api, args.experiment)
    answer = api.rename_experiment(found["experiment_id"], args.name)
    return _told(
        args, answer, found, f"is called {args.name!r} now" if answer["changed"] else "has that name"
    )


def _delete(api: "WriteApi", args: argparse.Namespace) -> int:
    found = _named(api, args.experiment)
    answer = api.delete_experiment(found["experiment_id"])
    return _told(args, answer, found, "is deleted" if answer["changed"] else "was deleted already")


def _restore(api: "WriteApi", args: argparse.Namespace) -> int:
    found = _named(api, args.experiment)
    answer = api.restore_experiment(found["experiment_id"])
    return _told(args, answer, found, "is restored" if answer["changed"] else "was active already")


def _named(api: "WriteApi", text: str) -> dict[str, Any]:
    """The experiment of that name, deleted ones included; else the one of that id.

    Raises:
        NoSuchExperimentError: there is none.
    """
    from runstone.exceptions import NoSuchExperimentError

    found = api.experiments(name=text, view="all")["experiments"]
    if found:
        return dict(found[0])
    if text.isascii() and text.isdigit() and len(text) <= 16:
        return api.experiment(int(text))
    raise NoSuchExperimentError(f"no experiment has the name {text!r}; 'runstone experiments list' shows all")


def _told(args: argparse.Namespace, answer: dict[str, Any], found: dict[str, Any], what: str) -> int:
    if args.json:
        return terminal.print_json(answer)
    late = "" if answer["applied"] else "; the read model is behind and shows it later"
    terminal.print_lines([f"experiment {found['name']!r} ({found['experiment_id']}) {what}{late}"])
    return 0
