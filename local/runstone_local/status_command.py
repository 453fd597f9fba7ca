"""``runstone status``: the parts of an installation and how far behind it is."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runstone_local.status import Status

HELP = "say which parts run, how far ingest is behind and what the spool takes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder of the installation (default: RUNSTONE_DATA; else the services that "
        "RUNSTONE_POSTGRES_DSN and RUNSTONE_BOOTSTRAP_SERVERS name; else the default folder of 'up')",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the status; 0 when all is well, else 1."""
    import asyncio
    import json
    import os

    from runstone_local import status
    from runstone_local.layout import DataFolder, default_data_folder

    services = {"RUNSTONE_POSTGRES_DSN", "RUNSTONE_BOOTSTRAP_SERVERS"} & os.environ.keys()
    data = None
    if args.data is None and services and "RUNSTONE_DATA" not in os.environ:
        parts = status.parts_of_environment(os.environ)
    else:
        data = args.data.expanduser().absolute() if args.data else default_data_folder()
        parts = status.parts_of_folder(DataFolder(data))
    found = asyncio.run(status.status(parts))
    if args.json:
        print(json.dumps(found.as_json(), indent=2))
    else:
        for line in table(found):
            print(line)
        if data is not None and all(part.pid is None and part.address is None for part in found.parts):
            print(f"no installation runs in {data}; 'runstone up' starts one, --data names another")
    return 0 if found.all_well else 1


def table(found: "Status") -> list[str]:
    """The status as lines for a person."""
    from runstone_local import sender_status

    rows = [("part", "pid", "address", "health")]
    rows += [(part.name, str(part.pid or "-"), part.address or "-", part.health) for part in found.parts]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
        for row in rows
    ]
    lag = "unknown" if found.lag_records is None else f"{found.lag_records} records"
    lines.append(f"ingest is behind by {lag}; this user's spool takes {found.spool_bytes:,} bytes")
    return lines + sender_status.lines(found.sender)
