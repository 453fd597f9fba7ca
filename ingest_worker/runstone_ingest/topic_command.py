"""``runstone topic create|check``: the topics, with the settings that keep a ledger."""

import argparse
import asyncio
import sys

HELP = "create the topics, or check that their settings keep every event"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", help="make the topics that are missing, then check them")
    create.add_argument(
        "--partitions",
        type=_partitions,
        default=None,
        help="of the events topic (default 12): how many workers can share it; fixed from then on",
    )
    actions.add_parser("check", help="print what is wrong with the topics; exit code 1 if anything is")


def _partitions(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to 10000, found {text!r}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Create or check, by RUNSTONE_BOOTSTRAP_SERVERS and RUNSTONE_TOPIC_PREFIX."""
    from runstone_ingest import topics
    from runstone_store import configuration

    bootstrap, prefix = configuration.bootstrap_servers(), configuration.topic_prefix()
    if args.action == "create":
        wanted = args.partitions or topics.PARTITIONS
        made = asyncio.run(topics.create(bootstrap, prefix, wanted))
        print(f"runstone topic: installation {made.installation_id}, {made.partitions} partitions")
        if args.partitions not in {None, made.partitions}:
            print(
                f"runstone topic: the topics of {prefix} were there before with {made.partitions} "
                f"partitions, which cannot change; --partitions {args.partitions} had no effect",
                file=sys.stderr,
            )
    findings = asyncio.run(topics.check(bootstrap, prefix))
    for finding in findings:
        print(f"runstone topic: {finding}", file=sys.stderr)
    if not findings:
        print(f"runstone topic: the topics of {prefix} are as they should be")
    return 1 if findings else 0
