"""``runstone dead-letters list|show|redrive``: what could not be applied, why, and once more."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from runstone_ingest.redrive import Redrive, Redriven

HELP = "records that could not be applied: list them, look at one, apply them once more"

SHOWN: Final = 4096
"""Bytes of a value that are shown to a person; --json has all of it."""

Place = tuple[str, int, int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    verbs = parser.add_subparsers(dest="verb", metavar="list|show|redrive", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="print JSON instead of text")
    shared.add_argument(
        "--generation", metavar="NAME", help="of this generation of the read model (default: the live one)"
    )
    listing = verbs.add_parser("list", parents=[shared], help="the newest ones, a line each")
    listing.add_argument("--run", metavar="ID", dest="stream", help="only those of one run (or 'catalog')")
    listing.add_argument("--limit", type=int, default=100, metavar="N", help="at most N (default 100)")
    show = verbs.add_parser("show", parents=[shared], help="everything about one")
    show.add_argument("place", type=_place, metavar="TOPIC/PARTITION/OFFSET")
    redrive = verbs.add_parser(
        "redrive",
        parents=[shared],
        help="make the rows of the streams they belong to again, by today's rules",
        description="Make the rows of whole streams again from the topic, by today's rules: afterwards "
        "they are what a replay makes of them. Doing it again changes nothing. Readers see the old rows "
        "until it is done. Exit code 1 where a record can still not be applied.",
    )
    redrive.add_argument("places", nargs="*", type=_place, metavar="TOPIC/PARTITION/OFFSET")
    redrive.add_argument(
        "--run", action="append", default=[], metavar="ID", dest="streams", help="a run (or 'catalog')"
    )
    redrive.add_argument("--all", action="store_true", help="every dead letter that there is")


def _place(text: str) -> Place:
    topic, _, rest = text.partition("/")
    partition, _, offset = rest.partition("/")
    if not topic or not partition.isdecimal() or not offset.isdecimal():
        raise argparse.ArgumentTypeError(
            f"expected TOPIC/PARTITION/OFFSET as 'list' shows it, found {text!r}"
        )
    return topic, int(partition), int(offset)


def run(args: argparse.Namespace) -> int:
    """List, show or redrive in the read model of RUNSTONE_POSTGRES_DSN."""
    import asyncpg

    from runstone.exceptions import InvalidInputError
    from runstone_ingest.exceptions import IngestError

    if args.verb == "redrive" and not (args.places or args.streams or args.all):
        raise InvalidInputError("expected what to redrive: TOPIC/PARTITION/OFFSET, --run ID or --all")
    verb: Callable[[argparse.Namespace, Any], Coroutine[Any, Any, int]]
    verb = {"list": _list, "show": _show, "redrive": _redrive}[args.verb]
    try:
        return asyncio.run(_with_connection(args, verb))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as failed:
        raise IngestError(
            f"the database of RUNSTONE_POSTGRES_DSN does not answer as expected: {failed}"
        ) from failed


async def _with_connection(
    args: argparse.Namespace, verb: Callable[[argparse.Namespace, Any], Coroutine[Any, Any, int]]
) -> int:
    from runstone_ingest.generation_connection import connect_to

    async with connect_to(args.generation, "runstone dead-letters") as connection:
        return await verb(args, connection)


async def _list(args: argparse.Namespace, connection: Any) -> int:
    from runstone import terminal
    from runstone_ingest.redrive import LETTERS

    rows = [dict(row) for row in await connection.fetch(LETTERS["list"], args.stream, args.limit)]
    if args.json:
        return terminal.print_json(rows)
    if not rows:
        print("no dead letters")
        return 0
    for row in rows:
        print(f"{row['topic']}/{row['partition']}/{row['offset']}  {_owner(row)}  {row['reason']}")
    count = await connection.fetchval(LETTERS["count"], args.stream)
    if count > len(rows):
        print(f"{len(rows)} of {count}; --limit shows more")
    return 0


def _owner(row: Any) -> str:
    return f"run {row['stream']}" if row["stream"] else "no readable stream"


async def _show(args: argparse.Namespace, connection: Any) -> int:
    import base64

    from runstone import terminal
    from runstone_ingest.exceptions import IngestError
    from runstone_ingest.redrive import LETTERS

    found = await connection.fetchrow(LETTERS["one"], *args.place)
    if found is None:
        raise IngestError(f"there is no dead letter at {'/'.join(map(str, args.place))}; see 'list'")
    row = dict(found)
    key, value = row["key"], row["value"]
    if args.json:
        for part in ("key", "value"):
            row[part] = None if row[part] is None else base64.b64encode(row[part]).decode()
        return terminal.print_json(row)
    lines = [f"{name:<10} {row[name]}" for name in ("reason", "stream", "session", "first_seq", "n", "at")]
    lines += [f"header     {name}: {base64.b64decode(text)!r}" for name, text in row["headers"]]
    lines += [f"key        {key!r}", f"value      {len(value or b'')} bytes"]
    lines.append((value or b"")[:SHOWN].decode("utf-8", "backslashreplace"))
    terminal.print_lines(lines)
    return 0


async def _redrive(args: argparse.Namespace, connection: Any) -> int:
    from runstone import terminal
    from runstone_ingest.exceptions import IngestError
    from runstone_ingest.redrive import LETTERS, Redrive
    from runstone_store import configuration

    partitions = await connection.fetchval(LETTERS["partitions"])
    if partitions is None:
        raise IngestError("the read model does not know its installation yet; let a worker begin first")
    redrive = Redrive(configuration.bootstrap_servers(), configuration.topic_prefix(), partitions, connection)
    places = list(args.places)
    if args.all:
        places += [tuple(row) for row in await connection.fetch(LETTERS["all_places"])]
    streams, hopeless = await _streams(redrive, connection, places)
    done: list[Redriven] = []
    for stream in sorted({*args.streams, *streams}):
        done.append(await redrive.run(stream))
        if not args.json:
            print(f"runstone dead-letters: {_words(done[-1])}", flush=True)
    for place, reason in hopeless:
        print(f"runstone dead-letters: {place} is still no record to apply: {reason}", file=sys.stderr)
    if args.json:
        terminal.print_json(
            {
                "streams": [
                    {
                        "stream": one.stream,
                        "records": one.records,
                        "dead_before": one.dead_before,
                        "dead": one.dead,
                    }
                    for one in done
                ],
                "without_stream": [{"place": place, "reason": reason} for place, reason in hopeless],
            }
        )
    elif not done and not hopeless:
        print("no dead letters")
    return int(bool(hopeless) or any(one.dead for one in done))


def _words(one: "Redriven") -> str:
    return (
        f"{one.stream}: {one.records} records gone through, dead letters {one.dead_before} before, "
        f"{one.dead} now"
    )


async def _streams(
    redrive: "Redrive", connection: Any, places: list[Place]
) -> tuple[set[str], list[tuple[str, str]]]:
    """The streams that the dead letters at *places* belong to by today's rules; those that belong to none."""
    from runstone_ingest.exceptions import IngestError
    from runstone_ingest.records import DeadLetter
    from runstone_ingest.redrive import LETTERS, as_record

    streams: set[str] = set()
    hopeless: list[tuple[str, str]] = []
    for place in dict.fromkeys(places):
        row = await connection.fetchrow(LETTERS["one"], *place)
        if row is None:
            raise IngestError(f"there is no dead letter at {'/'.join(map(str, place))}; see 'list'")
        judged = redrive.judge(as_record(row))
        if not isinstance(judged, DeadLetter):
            streams.add(judged.envelope.stream)
        elif judged.address is not None and judged.accountable:
            streams.add(judged.address.stream)
        else:
            hopeless.append(("/".join(map(str, place)), judged.reason))
    return streams, hopeless
