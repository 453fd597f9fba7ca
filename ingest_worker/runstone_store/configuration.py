"""What the services are told by their environment. Read once, at a command's start, never in the middle."""

import os
import re
from collections.abc import Mapping
from typing import Final

from runstone.exceptions import InvalidInputError

TOPIC_PREFIX: Final = "runstone"

SESSION_LOST_AFTER: Final = "24h"


def _required(name: str, what: str, environment: Mapping[str, str]) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise InvalidInputError(f"{name} is not set; expected {what}")
    return value


def postgres_dsn(environment: Mapping[str, str] = os.environ) -> str:
    """Where the read model lies, for those who write it.

    Raises:
        InvalidInputError: it is not set.
    """
    return _required("RUNSTONE_POSTGRES_DSN", "postgresql://user@host:5432/database", environment)


def bootstrap_servers(environment: Mapping[str, str] = os.environ) -> str:
    """Where services reach Kafka: ``host:port``, several with commas.

    Raises:
        InvalidInputError: it is not set.
    """
    return _required("RUNSTONE_BOOTSTRAP_SERVERS", "host:port of a Kafka broker", environment)


def topic_prefix(environment: Mapping[str, str] = os.environ) -> str:
    """What the topics' names begin with; installations that share a Kafka differ in it."""
    return environment.get("RUNSTONE_TOPIC_PREFIX", "").strip() or TOPIC_PREFIX


def events_topic(prefix: str) -> str:
    """The topic that carries runs; a run's partition is ``identity.partition_of`` of its id."""
    return f"{prefix}.events"


def catalog_topic(prefix: str) -> str:
    """The topic of one partition that carries everything with a unique name, and the installation itself."""
    return f"{prefix}.catalog"


def liveness_topic(prefix: str) -> str:
    """The topic of one partition that carries which sessions live; no part of the ledger."""
    return f"{prefix}.liveness"


def session_lost_after(environment: Mapping[str, str] = os.environ) -> float | None:
    """Seconds of silence after which a session that runs is given up; None: never.

    Raises:
        InvalidInputError: it is no duration.
    """
    text = environment.get("RUNSTONE_SESSION_LOST_AFTER", "").strip().lower() or SESSION_LOST_AFTER
    if text == "never":
        return None
    match = re.fullmatch(r"(\d{1,6})\s*([smhd])", text)
    if match is None or not int(match[1]):
        raise InvalidInputError(
            f"RUNSTONE_SESSION_LOST_AFTER is {text!r}; expected a duration such as 24h, 90m or 7d, or never"
        )
    return int(match[1]) * {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}[match[2]]
