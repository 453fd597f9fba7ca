"""``runstone events dump|tail``: the ledger as JSON lines, and where to go on."""

import argparse
import os
from typing import TYPE_CHECKING, Any

from runstone import arguments

if TYPE_CHECKING:
    from runstone.ledger import EventReader, LedgerEvent

HELP = "print the events of the topics as JSON lines"

_WHEN = "a time such as 2026-11-24T03:00:00+00:00, or an age such as 90m, 24h, 7d"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="dump|tail", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    which = shared.add_mutually_exclusive_group()
    which.add_argument("--run", metavar="ID", type=arguments.text, help="only the events of this run")
    which.add_argument(
        "--experiment",
        metavar="NAME",
        type=arguments.text,
        help="only those of this experiment's runs; its name, or its id",
    )
    begin = shared.add_mutually_exclusive_group()
    begin.add_argument("--since", metavar="TIME", help=f"only what the broker got from then on: {_WHEN}")
    begin.add_argument(
        "--from",
        dest="position",
        metavar="POSITION",
        help="go on behind what was read: the last position that was printed",
    )
    shared.add_argument("--until", metavar="TIME", help="only what it got before then")
    shared.add_argument(
        "--bootstrap",
        metavar="HOST:PORT",
        help="Kafka's servers (default: RUNSTONE_BOOTSTRAP_SERVERS; else those that the server at "
        "RUNSTONE_TRACKING_URI tells its clients)",
    )
    verbs.add_parser(
        "dump",
        parents=[shared],
        help="everything up to now",
        description="Print every event up to now, each once, in the order of its run; lines of the form "
        '{"position": "…"} say where --from can go on.',
    )
    verbs.add_parser(
        "tail",
        parents=[shared],
        help="what comes from now on",
        description="Print events as they come, until Ctrl-C; lines of the form "
        '{"position": "…"} say where --from can go on.',
    )


def run(args: argparse.Namespace) -> int:
    import asyncio

    from runstone.reading import read_events

    follow = args.verb == "tail"
    since = args.since
    if follow and since is None and args.position is None:
        since = "0s"
    bootstrap, prefix = _kafka(args)
    reader = read_events(
        bootstrap,
        run_id=args.run,
        experiment=args.experiment,
        since=since,
        until=args.until,
        position=args.position,
        follow=follow,
        topic_prefix=prefix,
    )
    asyncio.run(_print(reader))
    return 0


def _kafka(args: argparse.Namespace) -> tuple[str, str | None]:
    """Kafka's servers and, where the server was asked for them, the prefix of the topics' names."""
    named = args.bootstrap or os.environ.get("RUNSTONE_BOOTSTRAP_SERVERS", "").strip()
    if named:
        return named, None
    from runstone.configuration import read_configuration
    from runstone.sender import connect

    found = connect.ask(read_configuration().tracking_uri)
    return found.bootstrap_servers, found.events_topic.removesuffix(".events")


async def _print(reader: "EventReader") -> None:
    import asyncio
    import sys

    import orjson

    def put(found: dict[str, Any]) -> None:
        sys.stdout.buffer.write(orjson.dumps(found, option=orjson.OPT_APPEND_NEWLINE))

    untold = True
    interrupted = asyncio.current_task().cancelling  # type: ignore[union-attr]  # it runs in one
    async with reader:
        while await reader.fetch():
            if interrupted():
                raise asyncio.CancelledError  # aiokafka took the one of Ctrl-C for its own
            while reader.waiting:
                put(line(await anext(reader)))
                untold = True
            if untold and reader.idle:
                put({"position": reader.position})
                sys.stdout.buffer.flush()
                untold = False
    put({"position": reader.position})


def line(found: "LedgerEvent") -> dict[str, Any]:
    """One event as JSON: in the contract's own form, points and unreadable records in like manner."""
    import base64

    from runstone.events import encoding
    from runstone.ledger import Point, Unreadable

    event: dict[str, Any]
    if isinstance(found.event, Point):
        key, step, time, value = found.event
        event = {
            "type": "point",
            "key": encoding.series_key_to_json(key),
            "step": step,
            "time": time,
            "value": encoding.value_to_json(value),
        }
    elif isinstance(found.event, Unreadable):
        reason, raw = found.event
        value64 = None if raw is None else base64.b64encode(raw).decode()
        event = {"type": "unreadable", "reason": reason, "value": value64}
    else:
        event = encoding.event_to_json(found.event)
    places = ("topic", "partition", "offset", "time", "stream", "session", "seq")
    return {name: getattr(found, name) for name in places} | {"event": event}
