"""A database for MLflow in the Postgres of a running stack, so that both stand on the same server."""

import asyncio
from pathlib import Path

from runstone_local.layout import DataFolder
from runstone_local.ports import RememberedPorts
from runstone_local.postgres import PostgresServer, create_database


def new_database(data: Path, name: str) -> str:
    """Create the database *name* in the stack whose data folder is *data*; its address for SQLAlchemy."""
    server = server_of(data)
    asyncio.run(create_database(server.dsn("postgres"), name))
    # names the driver: which one is the default differs between versions of SQLAlchemy
    return server.dsn(name).replace("postgresql:", "postgresql+psycopg2:", 1)


def server_of(data: Path) -> PostgresServer:
    """The Postgres of the running stack whose data folder is *data*."""
    folder = DataFolder(data)
    port = RememberedPorts(folder.ports).remembered("postgres")
    assert port is not None
    return PostgresServer(folder, port)
