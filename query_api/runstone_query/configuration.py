"""What the read API is told by its environment, and its limits."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from runstone.events.artifact_roots import ArtifactRoot, parse_root
from runstone.exceptions import InvalidInputError
from runstone_store.configuration import topic_prefix

BODY_MAX: Final = 1024 * 1024
"""Bytes of a request's body; a search with 1,000 ids has 40 KB."""

PAGE_DEFAULT: Final = 100
PAGE_MAX: Final = 1000
"""Runs, or experiments, a page."""

COMPARE_MAX: Final = 100
"""Runs in one comparison: more columns than anybody can look at."""

POINTS_MAX: Final = 100_000
"""The largest ``max_points``; without it every point is sent, however many there are."""

CONNECTIONS: Final = 8
"""To Postgres; further requests wait for one."""

QUICK_CONNECTIONS: Final = 4
"""For what takes a single short statement: what a write waits for never queues behind somebody's search."""

CONNECT_TIMEOUT_S: Final = 5.0
"""For a connection, a free one or a new one; then the answer is 503."""

WAIT_MAX_S: Final = 10.0
"""For the read model to reach what a read must have seen; then the answer is 503."""

LOOK_EVERY_S: Final = 0.1
LOOK_EVERY_UNHEARD_S: Final = 0.02
"""How often it is looked whether it has: notifications wake too, but one may be lost, or there are none."""

LISTEN_AGAIN_S: Final = 5.0
"""After listening has failed."""

RETRY_AFTER_MAX_S: Final = 60
RETRY_AFTER_UNKNOWN_S: Final = 5
"""Seconds after which to ask again: at most, and where nothing moves by which to tell."""

END_OFFSETS_FOR_S: Final = 1.0
"""How long an answer of Kafka about its ends is good enough."""

KAFKA_TIMEOUT_S: Final = 3.0
"""For Kafka to tell its ends; then they are null with the reason."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Attributes:
    dsn: of the database to read from.
    artifact_root: the folder or bucket that is the artifact store; null where none is named.
    bootstrap_servers: Kafka, ``host:port[,host:port…]``; empty where none is named.
    topics: by role, ``events`` and ``catalog``.
    """

    dsn: str
    artifact_root: ArtifactRoot | None
    bootstrap_servers: str
    topics: Mapping[str, str]

    @property
    def artifact_root_uri(self) -> str | None:
        """The root as a URI without a slash at its end."""
        return self.artifact_root.as_uri() if self.artifact_root else None


def from_environment(environment: Mapping[str, str] = os.environ) -> Configuration:
    """The configuration that *environment* names.

    Raises:
        InvalidInputError: no database is named, or a value cannot be used; the message names the variable.
    """
    dsn = environment.get("RUNSTONE_READ_DSN") or environment.get("RUNSTONE_POSTGRES_DSN")
    if not dsn:
        raise InvalidInputError(
            "neither RUNSTONE_READ_DSN nor RUNSTONE_POSTGRES_DSN is set; expected the database to read from, "
            "such as postgresql://user@host:5432/database"
        )
    prefix = topic_prefix(environment)
    root = environment.get("RUNSTONE_ARTIFACT_ROOT", "")
    return Configuration(
        dsn,
        parse_root(root) if root else None,
        environment.get("RUNSTONE_BOOTSTRAP_SERVERS", ""),
        {"events": f"{prefix}.events", "catalog": f"{prefix}.catalog"},
    )
