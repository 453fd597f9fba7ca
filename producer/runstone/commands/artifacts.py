"""``runstone artifacts list|get``: what files a run has, and the files themselves, from the server."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from runstone import arguments, terminal

if TYPE_CHECKING:
    from runstone.api_client import ReadApi

HELP = "list a run's files, fetch them, from the server at RUNSTONE_TRACKING_URI"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="list|get", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("run", type=arguments.run_id, help="its id, or a beginning that no other run's has")
    shared.add_argument(
        "path",
        nargs="?",
        default="",
        type=arguments.text,
        help="a file or folder within the run's artifacts; without it all of them",
    )
    shared.add_argument("--json", action="store_true", help="print JSON instead of text")
    verbs.add_parser("list", parents=[shared], help="the files, by path", description="List a run's files.")
    got = verbs.add_parser(
        "get",
        parents=[shared],
        help="fetch files, checked by their SHA-256",
        description="Fetch a run's files, each checked by its SHA-256. What is there already is not fetched "
        "again, and what was cut off goes on where it ended: repeat the command.",
    )
    got.add_argument(
        "--to",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="files get their whole paths below this folder (default: the current one)",
    )


def run(args: argparse.Namespace) -> int:
    from runstone.api_client import ReadApi
    from runstone.configuration import read_configuration

    uri = read_configuration().tracking_uri
    api = ReadApi(uri)
    run_id = api.full_id(args.run)
    path = args.path.rstrip("/")
    return _list(api, run_id, path, args) if args.verb == "list" else _get(uri, run_id, path, args)


def _list(api: "ReadApi", run_id: str, path: str, args: argparse.Namespace) -> int:
    from runstone import artifact_tables
    from runstone.exceptions import NoSuchArtifactError

    found = api.artifacts(run_id, path)
    if path and not found:
        raise NoSuchArtifactError(f"run {run_id} has no artifact {path!r} (yet)")
    if args.json:
        return terminal.print_json({"run_id": run_id, "artifacts": found})
    if not found:
        print(f"run {run_id} has no artifacts (yet)")
        return 0
    terminal.print_lines(artifact_tables.listing(found, terminal.width(), bold=terminal.bold()))
    return 0


def _get(uri: str, run_id: str, path: str, args: argparse.Namespace) -> int:
    from runstone import downloads
    from runstone.download_progress import DownloadProgress
    from runstone.exceptions import InvalidInputError
    from runstone.run_tables import size

    if args.to.exists() and not args.to.is_dir():
        raise InvalidInputError(f"--to {str(args.to)!r} is a file; expected a folder")
    found = downloads.pointers(uri, run_id, path)
    whole = sum(pointer.size for pointer in found)
    with DownloadProgress(whole) as progress:
        downloads.download(uri, run_id, found, args.to, progress.arrived)
    if args.json:
        return terminal.print_json(
            {
                "run_id": run_id,
                "files": [
                    {
                        "path": one.path,
                        "size": one.size,
                        "sha256": one.sha256,
                        "file": str(args.to / one.path),
                    }
                    for one in found
                ],
            }
        )
    if not found:
        print(f"run {run_id} has no artifacts (yet)")
        return 0
    files = "1 file" if len(found) == 1 else f"{len(found)} files"
    print(f"{files}, {size(whole)}, in {args.to.absolute() / path}")
    if unchecked := sum(not pointer.sha256 for pointer in found):
        print(f"{unchecked} of them could not be checked: nobody knows their SHA-256")
    return 0
