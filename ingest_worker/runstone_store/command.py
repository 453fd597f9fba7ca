"""``runstone migrate``: bring the read model's database to this version."""

import argparse
import asyncio
import sys

HELP = "create or update the read model in the database of RUNSTONE_POSTGRES_DSN"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--print-sql",
        action="store_true",
        help="print what would be run in an empty database, and run nothing",
    )


def run(args: argparse.Namespace) -> int:
    """Migrate, or print the statements."""
    import asyncpg

    from runstone_store import configuration, migrations

    if args.print_sql:
        print(migrations.script(), end="")
        return 0
    dsn = configuration.postgres_dsn()
    try:
        done = asyncio.run(migrations.migrate(dsn))
    except (OSError, asyncpg.PostgresError) as failed:
        print(
            f"runstone migrate: the database of RUNSTONE_POSTGRES_DSN does not answer as expected: {failed}",
            file=sys.stderr,
        )
        return 1
    for line in done or ["nothing to do: the read model is up to date"]:
        print(f"runstone migrate: {line}")
    return 0
