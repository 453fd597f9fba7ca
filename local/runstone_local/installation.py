"""Finds an installation's Kafka and Postgres.

They stand in its data folder, where ``up`` writes down what it runs, or in the environment of the services.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runstone.exceptions import InvalidInputError
from runstone_local import state
from runstone_local.layout import DataFolder, default_data_folder
from runstone_local.postgres import DATABASE, USER
from runstone_store import configuration


@dataclass(frozen=True, slots=True)
class Installation:
    """Where it lies: Kafka's servers, the read model, and what the topics' names begin with."""

    bootstrap: str
    dsn: str
    prefix: str


def find(data: Path | None, environment: Mapping[str, str]) -> Installation:
    """The installation in the folder *data*; None: that of the environment, else that of the default folder.

    Raises:
        InvalidInputError: nothing runs there, or the environment names only half of it.
    """
    services = {"RUNSTONE_POSTGRES_DSN", "RUNSTONE_BOOTSTRAP_SERVERS"} & environment.keys()
    prefix = configuration.topic_prefix(environment)
    if data is None and services and "RUNSTONE_DATA" not in environment:
        return Installation(
            configuration.bootstrap_servers(environment), configuration.postgres_dsn(environment), prefix
        )
    folder = DataFolder(data.expanduser().absolute() if data else default_data_folder())
    found = state.read(folder.state)
    parts = {part.name: part for part in found.parts} if found else {}
    kafka, postgres = parts.get("kafka"), parts.get("postgres")
    if kafka is None or postgres is None:
        raise InvalidInputError(
            f"no installation runs in {folder.path}; start it with 'runstone up', name another folder with "
            "--data, or set RUNSTONE_BOOTSTRAP_SERVERS and RUNSTONE_POSTGRES_DSN"
        )
    if postgres.pid is None:
        dsn = configuration.postgres_dsn(environment)  # somebody else runs it, and its password is theirs
    else:
        password = folder.postgres_password.read_text().strip()
        where = (postgres.address or "").partition("/")[0]
        dsn = f"postgresql://{USER}:{password}@{where}/{DATABASE}"
    return Installation((kafka.address or "").partition("/")[0], dsn, prefix)
