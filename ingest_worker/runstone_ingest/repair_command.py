"""``runstone repair list|resume|reread``: partitions that halt, and what a person decides about them."""

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runstone_ingest.repair import Halted

HELP = "partitions of which nothing more is applied: say why, and let them go on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    verbs = parser.add_subparsers(dest="verb", metavar="list|resume|reread", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--generation", metavar="NAME", help="of this generation of the read model (default: the live one)"
    )
    listing = verbs.add_parser(
        "list", parents=[shared], help="what halts and what is wrong with the topics; exit code 1 if anything"
    )
    listing.add_argument("--json", action="store_true", help="print JSON instead of text")
    chosen = argparse.ArgumentParser(add_help=False)
    chosen.add_argument("places", nargs="*", type=_place, metavar="TOPIC/PARTITION")
    chosen.add_argument("--all", action="store_true", help="every partition that halts")
    resume = verbs.add_parser(
        "resume",
        parents=[shared, chosen],
        help="go on where it halted; for when the cause is gone",
        description="Go on where it halted. Nothing is lost by this; where the cause is still there, the "
        "partition halts again.",
    )
    resume.add_argument(
        "--accept-dead-until",
        type=int,
        default=0,
        metavar="OFFSET",
        help="let bad records below this offset become dead letters, however many they are",
    )
    reread = verbs.add_parser(
        "reread",
        parents=[shared, chosen],
        help="read again what Kafka has; for a log that was truncated, rewritten or made again",
        description="Read the partition again from the beginning of what Kafka has. Says what is lost, and "
        "does it only with --yes.",
    )
    reread.add_argument("--yes", action="store_true", help="do it")


def _place(text: str) -> str:
    topic, _, partition = text.rpartition("/")
    if not topic or not partition.isdecimal():
        raise argparse.ArgumentTypeError(f"expected TOPIC/PARTITION as 'list' shows it, found {text!r}")
    return text


def run(args: argparse.Namespace) -> int:
    """List or decide, in the read model of RUNSTONE_POSTGRES_DSN."""
    import asyncpg

    from runstone_ingest.exceptions import IngestError

    try:
        return asyncio.run(_run(args))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as failed:
        raise IngestError(
            f"the database of RUNSTONE_POSTGRES_DSN does not answer as expected: {failed}"
        ) from failed


async def _run(args: argparse.Namespace) -> int:
    from runstone_ingest import repair
    from runstone_ingest.generation_connection import connect_to
    from runstone_store import configuration

    bootstrap = configuration.bootstrap_servers()
    async with connect_to(args.generation, "runstone repair") as connection:
        found = await repair.halted(connection, bootstrap)
        if args.verb == "list":
            return await _list(args, connection, found)
        chosen = _chosen(args, found)
        if args.verb == "resume":
            await repair.resume(connection, chosen, args.accept_dead_until)
            for one in chosen:
                print(f"runstone repair: {one.place} goes on from offset {one.next_offset}")
            return 0
        for one in chosen:
            for line in repair.consequences(one):
                print(line)
        if not args.yes:
            print("runstone repair: nothing was changed; --yes does it", file=sys.stderr)
            return 1
        await repair.reread(connection, chosen, configuration.topic_prefix())
        print(f"runstone repair: {len(chosen)} partitions are read again")
        return 0


async def _list(args: argparse.Namespace, connection: Any, found: "list[Halted]") -> int:
    from dataclasses import asdict

    from runstone import terminal
    from runstone_ingest import repair

    findings = await repair.findings(connection)
    if args.json:
        terminal.print_json(
            {
                "halted": [asdict(one) for one in found],
                "findings": [{"finding": finding, "at": at} for finding, at in findings],
            }
        )
        return int(bool(found or findings))
    for one in found:
        held = "what Kafka has is unknown" if one.log is None else f"Kafka has {one.log[0]} to {one.log[1]}"
        print(f"{one.place}  {one.kind}  next offset {one.next_offset}, {held}\n    {one.reason}")
    for finding, _at in findings:
        print(finding)
    if not found and not findings:
        print("no partition halts, and the topics are as they should be")
    return int(bool(found or findings))


def _chosen(args: argparse.Namespace, found: "list[Halted]") -> "list[Halted]":
    from runstone.exceptions import InvalidInputError

    if not args.places and not args.all:
        raise InvalidInputError(
            "expected which partitions: TOPIC/PARTITION or --all; see 'runstone repair list'"
        )
    by_place = {one.place: one for one in found}
    if unknown := set(args.places) - by_place.keys():
        raise InvalidInputError(f"{', '.join(sorted(unknown))} does not halt; see 'runstone repair list'")
    return found if args.all else [by_place[place] for place in args.places]
