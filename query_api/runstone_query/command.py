"""``runstone api``: serve the read API."""

import argparse

HELP = "serve the read API over the read model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=5001, help="port to listen on (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    import asyncio
    import logging

    from runstone_query.configuration import from_environment
    from runstone_query.serving import serve

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    return asyncio.run(serve(from_environment(), args.host, args.port))
