"""``runstone replay start|status|verify|swap|flip-back|drop``: the read model built anew, beside it."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from runstone_ingest.replay_progress import Progress
    from runstone_store.generations import Generation

HELP = "build the read model anew from the topics, compare it with the live one, and swap it in"

_AGAIN_TTY: Final = 0.25
_AGAIN_PLAIN: Final = 10.0
"""Seconds between two lines of progress."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    verbs = parser.add_subparsers(
        dest="verb", metavar="start|status|verify|swap|flip-back|drop", required=True
    )
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="print JSON instead of text")
    shared.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder of the installation (default: RUNSTONE_DATA; else the services that "
        "RUNSTONE_POSTGRES_DSN and RUNSTONE_BOOTSTRAP_SERVERS name; else the default folder of 'up')",
    )
    start = verbs.add_parser(
        "start",
        parents=[shared],
        help="begin a new generation, and wait until it has caught up",
        description="Begin a new generation of the read model and fill it from the beginning of the topics, "
        "in a process of its own that goes on when this command ends. The live one serves and ingests "
        "meanwhile. Returns when the new one has caught up.",
    )
    end = start.add_mutually_exclusive_group()
    end.add_argument(
        "--until-offset",
        metavar="PARTITION:OFFSET,…",
        help="stop before these offsets (a partition of the events topic, or 'catalog'; others end where "
        "they end now): a picture of the past, which can be read with ?generation= and is never swapped in",
    )
    end.add_argument(
        "--until-time",
        metavar="TIME",
        help="likewise, before the first record that Kafka got at or after this time: ISO 8601 (without a "
        "zone: UTC) or milliseconds",
    )
    start.add_argument(
        "--rate", type=_rate, metavar="N", help="at most N records a second, until it has caught up"
    )
    start.add_argument("--detach", action="store_true", help="return at once")
    verbs.add_parser("status", parents=[shared], help="which generations there are, and how far each is")
    verify = verbs.add_parser(
        "verify",
        parents=[shared],
        help="compare two generations run by run; exit code 1 where one differs",
        description="Compare the logical digests of two generations at equal offsets, run by run, and name "
        "those that differ. Exit code 1 where one does.",
    )
    verify.add_argument(
        "generation", nargs="?", metavar="GENERATION", help="default: the newest that is not live"
    )
    verify.add_argument("--against", metavar="GENERATION", help="default: the live one")
    swap = verbs.add_parser("swap", parents=[shared], help="let people read another generation from now on")
    swap.add_argument("generation", nargs="?", metavar="GENERATION", help="default: the newest that is ready")
    verbs.add_parser("flip-back", parents=[shared], help="let people read the one that was live before")
    drop = verbs.add_parser("drop", parents=[shared], help="end a generation that is not live")
    drop.add_argument("generation", metavar="GENERATION")


def _rate(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of records a second above 0, found {text!r}")
    return found


def run(args: argparse.Namespace) -> int:
    """Do it in the installation that the arguments or the environment name."""
    import asyncpg

    from runstone_ingest.exceptions import IngestError
    from runstone_local import installation
    from runstone_store import pool

    found = installation.find(args.data, os.environ)
    # the process of a replay has them from this one
    os.environ["RUNSTONE_BOOTSTRAP_SERVERS"] = found.bootstrap
    os.environ["RUNSTONE_POSTGRES_DSN"] = found.dsn

    async def work() -> int:
        connection = await pool.connect_writer(found.dsn, "runstone replay")
        try:
            return await _VERBS[args.verb](connection, args)
        finally:
            connection.terminate()

    try:
        return asyncio.run(work())
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as failed:
        raise IngestError(f"the read model's database does not answer as expected: {failed}") from failed


async def _start(connection: Any, args: argparse.Namespace) -> int:
    from runstone_ingest import replay_offsets, replay_process, replay_state
    from runstone_ingest.exceptions import IngestError
    from runstone_store import configuration, generation_changes, generations

    bootstrap, prefix = configuration.bootstrap_servers(), configuration.topic_prefix()
    await generations.listed(connection)  # says what to do in a database that is not migrated
    async with replay_offsets.opened(bootstrap, prefix) as ledger:
        until, asked = None, ""
        if args.until_offset is not None:
            ends = replay_offsets.named_ends(args.until_offset, await ledger.ends(), ledger.events)
            until, asked = replay_offsets.as_json(ends), f"offsets {args.until_offset}"
        elif args.until_time is not None:
            moment = replay_offsets.time_ms(args.until_time, time.time_ns() // 1_000_000)
            until = replay_offsets.as_json(await ledger.ends_at(moment))
            asked = f"what came before {args.until_time}"
        name, notes = await generation_changes.begin(connection, until, args.rate, asked)
        for note in notes:
            _say(note)
        process, log = replay_process.spawn(name)
        _say(f"{name} begins, by process {process.pid} (its log is {log})")
        if args.detach:
            _answer(
                args, {"generation": name, "state": "building", "pid": process.pid, "log": str(log)}, name
            )
            return 0
        show = _Line()
        try:
            state = await replay_state.wait_caught_up(
                connection, ledger, name, show, lambda: process.poll() is None
            )
        except IngestError as failed:
            raise IngestError(f"{failed}. Its log says: {replay_process.last_line(log)}") from None
        finally:
            show.end()
    text = {
        "ready": f"{name} has caught up and goes on ingesting; compare it with 'runstone replay verify', "
        f"then 'runstone replay swap'",
        "frozen": f"{name} is complete: {asked}; read it with ?generation={name}",
    }[state]
    _answer(args, {"generation": name, "state": state, "pid": process.pid, "log": str(log)}, text)
    return 0


async def _status(connection: Any, args: argparse.Namespace) -> int:
    from runstone import table
    from runstone_ingest import replay_offsets, replay_state
    from runstone_ingest.exceptions import IngestError
    from runstone_store import configuration

    try:
        bootstrap, prefix = configuration.bootstrap_servers(), configuration.topic_prefix()
        async with replay_offsets.opened(bootstrap, prefix) as ledger:
            found = await replay_state.standings(connection, ledger)
    except IngestError as away:
        _say(str(away))
        found = await replay_state.standings(connection, None)
    if args.json:
        _json([one.as_json() for one in found])
        return 0
    rows = [table.Row(cells) for cells in replay_state.table(found)]
    widths = table.widths(rows, None)
    assert widths is not None, "there is no limit to the width"
    print("\n".join(table.lines(rows, widths, bold=False)))
    for one in found:
        for halt in one.halts:
            print(f"{one.generation.name}: {halt}")
    return 0


async def _verify(connection: Any, args: argparse.Namespace) -> int:
    from runstone_ingest import replay_state
    from runstone_ingest.replay_verify import Verification
    from runstone_ingest.topics import installation
    from runstone_store import configuration, generations

    bootstrap, prefix = configuration.bootstrap_servers(), configuration.topic_prefix()
    against = args.against or await generations.live(connection)
    name = args.generation or await _newest(
        connection, lambda one: one.name != against and one.state != "dropping"
    )
    for one in (name, against):
        await generations.find(connection, one)
    made = await installation(bootstrap, prefix)
    partitions = 1 if made is None else made.partitions
    ledger = (configuration.events_topic(prefix), configuration.catalog_topic(prefix), partitions)
    show = _Line()
    compared = await Verification(connection, (against, name), ledger).run(
        lambda seen, whole: show.text(f"{seen:,} of {whole:,} runs compared")
    )
    show.end()
    digests = compared.digests()
    if args.json:
        _json(
            {
                "generations": [against, name],
                "experiments": [
                    {"experiment_id": experiment, "runs": count, "digest": of}
                    for experiment, (count, of) in digests.items()
                ],
                "differences": [
                    {
                        "run_id": one.stream,
                        "experiment_id": one.experiment_id,
                        "last_offset": one.last_offset,
                        "tables": one.tables,
                    }
                    for one in compared.differences
                ],
                "unsettled": compared.unsettled,
            }
        )
        return 1 if compared.differences else 0
    for line in replay_state.by_experiment(digests):
        print(line)
    for difference in compared.differences:
        print(
            f"DIFFERS: {difference.stream} (experiment {difference.experiment_id}) at offset "
            f"{difference.last_offset}: {', '.join(difference.tables)}"
        )
    if compared.unsettled:
        print(
            f"not compared: {len(compared.unsettled)} that {name} and {against} never had at one offset: "
            f"{', '.join(compared.unsettled[:10])}{' …' if len(compared.unsettled) > 10 else ''}"
        )
    same = sum(count for count, _of in digests.values())
    print(f"{name} and {against}: {same} runs are the same, {len(compared.differences)} differ")
    return 1 if compared.differences else 0


async def _swap(connection: Any, args: argparse.Namespace) -> int:
    name = args.generation or await _newest(connection, lambda one: one.state == "ready")
    return await _flip(connection, args, name)


async def _flip_back(connection: Any, args: argparse.Namespace) -> int:
    from runstone_ingest.exceptions import IngestError
    from runstone_store import generation_changes

    name = await generation_changes.last_retired(connection)
    if name is None:
        raise IngestError(
            "no generation was live before, or it was dropped; there is nothing to flip back to"
        )
    return await _flip(connection, args, name)


async def _flip(connection: Any, args: argparse.Namespace, name: str) -> int:
    from runstone_store import generation_changes

    before = await generation_changes.flip(connection, name)
    _answer(
        args,
        {"live": name, "before": before},
        f"{name} is live now; {before} goes on ingesting, for 'runstone replay flip-back', until "
        f"'runstone replay drop {before}'",
    )
    return 0


async def _drop(connection: Any, args: argparse.Namespace) -> int:
    from runstone_store import generation_changes

    await generation_changes.drop(connection, args.generation)
    _answer(args, {"dropped": args.generation}, f"{args.generation} is gone")
    return 0


async def _newest(connection: Any, fits: "Callable[[Generation], bool]") -> str:
    from runstone_ingest.exceptions import IngestError
    from runstone_store import generations

    found = [one.name for one in await generations.listed(connection) if fits(one)]
    if not found:
        raise IngestError(
            "there is no such generation; 'runstone replay status' says which there are, 'runstone replay "
            "start' makes one"
        )
    return found[-1]


_VERBS: Final[dict[str, Callable[[Any, argparse.Namespace], Awaitable[int]]]] = {
    "start": _start,
    "status": _status,
    "verify": _verify,
    "swap": _swap,
    "flip-back": _flip_back,
    "drop": _drop,
}


class _Line:
    """Progress on standard error: one line that is written over on a terminal, else a line now and then."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._next = 0.0 if self._terminal else time.monotonic() + _AGAIN_PLAIN

    def __call__(self, progress: "Progress") -> None:
        self.text(progress.line())

    def text(self, line: str) -> None:
        """Show *line*, unless the one before it is too young."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (_AGAIN_TTY if self._terminal else _AGAIN_PLAIN)
        if self._terminal:
            print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave nothing of it on a terminal."""
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _say(line: str) -> None:
    print(f"runstone replay: {line}", file=sys.stderr, flush=True)


def _answer(args: argparse.Namespace, found: object, text: str) -> None:
    if args.json:
        _json(found)
    else:
        print(f"runstone replay: {text}")


def _json(found: object) -> None:
    import json

    print(json.dumps(found, indent=2))
