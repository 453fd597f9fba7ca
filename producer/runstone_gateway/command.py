"""``runstone gateway``: serve the front door."""

import argparse

HELP = "serve the one address that clients, browsers and scripts talk to"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=5000, help="port to listen on (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    import asyncio

    from runstone_gateway.configuration import from_environment
    from runstone_gateway.serving import serve

    address = f"http://{args.host}:{args.port}"
    return asyncio.run(serve(from_environment(address=address), args.host, args.port))
