"""``runstone worker``: carry the topics into the read model until told to stop."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

HELP = "carry events from Kafka into Postgres (RUNSTONE_BOOTSTRAP_SERVERS, RUNSTONE_POSTGRES_DSN)"

STOP_SECONDS: Final = 3.0
"""What a stop may take before waiting for anybody else is given up; leaving Kafka comes on top."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options; everything else comes from the environment."""
    parser.add_argument(
        "--workers",
        type=_count,
        default=1,
        metavar="N",
        help="run N processes that share the partitions (default 1); a core each is of use",
    )
    parser.add_argument("--until-input-ends", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--generation",
        metavar="NAME",
        help="write this generation of the read model only, as 'runstone replay start' has it done "
        "(default: the live one, and all others that have caught up)",
    )
    parser.add_argument(
        "--hand-over",
        action="store_true",
        help="end when that generation has caught up and other workers carry it on",
    )


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to 1000, found {text!r}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Work until SIGTERM or SIGINT."""
    from runstone.events import limits
    from runstone_ingest import collecting
    from runstone_ingest.following import Following
    from runstone_ingest.worker import Worker
    from runstone_store import configuration

    limits.check_ladder()
    bootstrap, dsn = configuration.bootstrap_servers(), configuration.postgres_dsn()
    prefix, lost_after = configuration.topic_prefix(), configuration.session_lost_after()

    if args.workers > 1:
        return _run_several(args)

    async def work() -> None:
        worker: Worker | Following
        if args.generation:
            worker = Worker(bootstrap, dsn, prefix, lost_after, args.generation)
            if args.hand_over:
                worker.hand_over()
        else:
            worker = Following(bootstrap, dsn, prefix, lost_after)
        task = asyncio.create_task(worker.run())
        loop = asyncio.get_running_loop()

        def stop() -> None:
            worker.stop()
            loop.call_later(STOP_SECONDS, task.cancel)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        if args.until_input_ends:
            loop.add_reader(0, _stop_at_the_end, loop, stop)
        try:
            await task
        except asyncio.CancelledError:
            print("runstone worker: Kafka or Postgres does not answer, stopped without them", file=sys.stderr)

    collecting.take_over()
    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        runner.run(work())
    print("runstone worker: stopped", flush=True)
    return 0


def _stop_at_the_end(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    if not os.read(0, 4096):
        loop.remove_reader(0)
        stop()


def _run_several(args: argparse.Namespace) -> int:
    from runstone_ingest.processes import Processes

    same = ["--generation", args.generation] if args.generation else []
    if args.hand_over:
        same.append("--hand-over")

    async def work() -> None:
        processes = Processes(args.workers, same)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, processes.stop)
        await processes.run()

    asyncio.run(work())
    print("runstone worker: stopped", flush=True)
    return 0


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
