"""``runstone worker``: carry the topics into the read model until told to stop."""

import argparse
import asyncio
import signal

HELP = "carry events from Kafka into Postgres (RUNSTONE_BOOTSTRAP_SERVERS, RUNSTONE_POSTGRES_DSN)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are no options: everything comes from the environment."""
    del parser


def run(args: argparse.Namespace) -> int:
    """Work until SIGTERM or SIGINT."""
    del args
    import uvloop

    from runstone.events import limits
    from runstone_ingest.worker import Worker
    from runstone_store import configuration

    limits.check_ladder()
    bootstrap, dsn = configuration.bootstrap_servers(), configuration.postgres_dsn()
    prefix = configuration.topic_prefix()

    async def work() -> None:
        worker = Worker(bootstrap, dsn, prefix)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        await worker.run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())
    print("runstone worker: stopped", flush=True)
    return 0
