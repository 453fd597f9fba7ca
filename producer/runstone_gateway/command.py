"""``runstone gateway``: serve the front door."""

import argparse
import asyncio
import logging
from collections.abc import Callable

HELP = "serve the one address that clients, browsers and scripts talk to"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=5000, help="port to listen on (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    from runstone_gateway.configuration import from_environment
    from runstone_gateway.serving import serve

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    configuration = from_environment(address=f"http://{args.host}:{args.port}")
    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        return runner.run(serve(configuration, args.host, args.port))


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
