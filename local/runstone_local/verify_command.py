"""``runstone verify``: whether the read model is what the topics say."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runstone_ingest.verify import Report

HELP = "check that the read model is what the topics say: nothing lost, nothing twice"

_DESCRIPTION = """Read the topics once more and compare: for each partition the records that were applied,
repeated and dead; for each session which of its records came; for a sample of the runs everything that is
known of them, made again by other code; and within the read model what must hold between its tables. Ingest
and readers go on meanwhile. Exit code 0: all is well; 1: something is wrong or lost; 2: usage."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.description = _DESCRIPTION
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder of the installation (default: RUNSTONE_DATA; else the services that "
        "RUNSTONE_POSTGRES_DSN and RUNSTONE_BOOTSTRAP_SERVERS name; else the default folder of 'up')",
    )
    parser.add_argument("--generation", metavar="NAME", help="check this generation (default: the live one)")
    parser.add_argument(
        "--run",
        action="append",
        default=[],
        metavar="ID",
        help="make this run again instead of a sample; may be repeated",
    )
    parser.add_argument(
        "--sample", type=_count, default=None, metavar="N", help="make N runs again (default 20)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="do not read the topics: check the read model in itself"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) > 100_000:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 100000, found {text!r}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Check and print; 0 when all is well, else 1."""
    import asyncio
    import json

    report = asyncio.run(_verify(args))
    if args.json:
        print(json.dumps(report.as_json(), indent=2))
    else:
        for line in lines(report):
            print(line)
    return 0 if report.well else 1


async def _verify(args: argparse.Namespace) -> "Report":
    import os

    from runstone.exceptions import RunstoneError
    from runstone_ingest.verify import verify
    from runstone_ingest.verify.checking import SAMPLE
    from runstone_local import installation
    from runstone_store import generations, pool

    found = installation.find(args.data, os.environ)
    import asyncpg

    try:
        connection = await pool.connect_writer(found.dsn, "runstone verify")
        try:
            if args.generation is None:
                generation = await generations.live(connection)
            else:
                generation = (await generations.find(connection, args.generation)).name
            await connection.execute("SELECT set_config('search_path', $1, false)", generation)
            return await verify(
                connection,
                found.bootstrap,
                found.prefix,
                generation,
                streams=args.run,
                sample=SAMPLE if args.sample is None else args.sample,
                scan=not args.quick,
            )
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as failed:
        raise RunstoneError(f"Postgres does not answer as expected: {failed}") from failed


def lines(report: "Report") -> list[str]:
    """The report for a person."""
    told = [f"generation {report.generation} of installation {report.installation_id or '(unknown)'}", ""]
    told += _partitions(report)
    told.append("")
    told.append(
        f"{report.sessions:,} sessions in {report.streams:,} streams, {report.points:,} metric points"
    )
    if report.scanned is None:
        told.append("the topics were not read (--quick)")
    else:
        told.append(f"{report.scanned:,} records of the topics were read again and counted")
        same = sum(one.same for one in report.sample)
        points = sum(one.points for one in report.sample)
        told.append(
            f"{len(report.sample)} streams with {points:,} points were made again by the plain model: "
            f"{same} the same"
        )
    for finding in report.findings:
        told += ["", f"{finding.kind}: {finding.where}", f"  {finding.what}"]
    bad = sum(finding.kind != "noted" for finding in report.findings)
    told += ["", "runstone verify: all is well" if report.well else f"runstone verify: {bad} findings"]
    return told


def _partitions(report: "Report") -> list[str]:
    rows: list[tuple[Any, ...]] = [("partition", "records", "applied", "repeated", "dead", "behind")]
    rows += [
        (
            f"{p.topic}/{p.partition}",
            f"{p.records:,}",
            f"{p.applied:,}",
            f"{p.duplicates:,}",
            f"{p.dead:,}",
            "?" if p.behind is None else f"{p.behind:,}",
        )
        for p in report.partitions
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
