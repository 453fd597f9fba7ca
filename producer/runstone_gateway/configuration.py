"""What the gateway is told by its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from runstone.events.artifact_roots import ArtifactRoot, parse_root
from runstone.exceptions import InvalidInputError


@dataclass(frozen=True, slots=True)
class Configuration:
    """Attributes:
    bootstrap_servers: where this process reaches Kafka, ``host:port[,host:port…]``.
    advertised_servers: what clients are told as Kafka's address.
    api_url: where the read API listens.
    web_url: the public address of this gateway.
    artifact_root: the folder or bucket that is the artifact store.
    address: where this gateway itself listens, as a web address.
    """

    bootstrap_servers: str
    advertised_servers: str
    api_url: str
    web_url: str
    artifact_root: ArtifactRoot
    address: str = ""


def from_environment(environment: Mapping[str, str] = os.environ, *, address: str = "") -> Configuration:
    """The configuration that *environment* names; *address* is the web address where none is named.

    Raises:
        InvalidInputError: a needed variable is missing or cannot be used; the message names it.
    """
    bootstrap = environment.get("RUNSTONE_BOOTSTRAP_SERVERS", "")
    api_url = environment.get("RUNSTONE_API_URL", "")
    if not bootstrap:
        raise InvalidInputError(
            "RUNSTONE_BOOTSTRAP_SERVERS is not set; expected Kafka's address as host:port"
        )
    if urlsplit(api_url).scheme not in {"http", "https"}:
        raise InvalidInputError(
            f"RUNSTONE_API_URL is {api_url!r}; expected the read API's address such as http://127.0.0.1:5001"
        )
    return Configuration(
        bootstrap,
        environment.get("RUNSTONE_ADVERTISED_SERVERS") or bootstrap,
        api_url.rstrip("/"),
        (environment.get("RUNSTONE_WEB_URL") or address).rstrip("/"),
        parse_root(environment.get("RUNSTONE_ARTIFACT_ROOT", "")),
        address,
    )
