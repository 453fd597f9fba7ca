"""``runstone up``: the whole stack in one command and one folder."""

import argparse
import os
import sys
from pathlib import Path

HELP = "start Kafka, Postgres, worker, gateway and read API behind one address"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder of the installation (default: RUNSTONE_DATA, else a folder of the user's)",
    )
    parser.add_argument("--port", type=_port, default=5000, metavar="N", help="port (default: %(default)s)")
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDR", help="address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--advertise", metavar="HOST", help="name or address by which other machines reach this one"
    )
    parser.add_argument(
        "--kafka", metavar="BOOTSTRAP", help="use this Kafka (host:port,...) instead of starting one"
    )
    parser.add_argument(
        "--postgres", metavar="DSN", help="use this Postgres (postgresql://...) instead of starting one"
    )
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="allow an address that other machines reach, though there are no passwords yet",
    )


def run(args: argparse.Namespace) -> int:
    """Run the stack until a signal ends it."""
    if sys.platform == "win32":
        print("runstone up: Windows is not supported; use WSL 2, where it runs as on Linux", file=sys.stderr)
        return 2
    import asyncio

    from runstone_local import fetch, preflight
    from runstone_local.addresses import listening
    from runstone_local.exceptions import CannotStartError
    from runstone_local.layout import default_data_folder
    from runstone_local.up import Options, up
    from runstone_store import configuration

    configuration.session_lost_after()  # which only the worker needs, where the refusal would be out of sight
    if args.kafka:
        preflight.brokers(args.kafka)
    if args.postgres:
        preflight.postgres_address(args.postgres)
    where = listening(args.host, args.advertise, insecure=args.insecure)
    data = args.data.expanduser().absolute() if args.data else default_data_folder()
    try:
        kafka = args.kafka or fetch.fetch_kafka(_say)
        asyncio.run(up(Options(data, where, args.port, kafka, args.postgres), _say))
    except OSError as refused:
        what = f" {refused.filename}" if refused.filename else ""
        raise CannotStartError(f"The system refuses{what}: {refused.strerror or refused}.") from refused
    return 0


def _say(line: str) -> None:
    try:
        print(f"runstone up: {line}", flush=True)
    except OSError:
        # nobody reads any more, for instance 'runstone up | head'; that must not stop anything
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to 65535, found {text!r}")
    return int(text)
