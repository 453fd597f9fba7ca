"""``GET /api/v1/connect``: the one question a publisher asks the server, and what may come back.

`ask` blocks for at most a few seconds and is called in a worker thread; `parse` is pure.
"""

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from runstone.events.envelope import CATALOG, VERSION
from runstone.events.identity import partition_of
from runstone.exceptions import ServerError

TIMEOUT: Final = 5.0
"""Seconds for the connection, and for each read."""

_PATH: Final = "/api/v1/connect"
_ANSWER_MAX: Final = 64 * 1024


class WrongServerError(ServerError):
    """Somebody answers at the address, but no Runstone server that this version can use."""


@dataclass(frozen=True, slots=True)
class Connect:
    """What the server answered: whose ledger it is and where it lies."""

    installation_id: str
    bootstrap_servers: str
    events_topic: str
    catalog_topic: str
    partitions: int
    artifact_root: str
    web_url: str

    def place(self, stream: str) -> tuple[str, int]:
        """Topic and partition of a stream."""
        if stream == CATALOG:
            return self.catalog_topic, 0
        return self.events_topic, partition_of(stream, self.partitions)

    def to_json(self) -> dict[str, Any]:
        """The same as the server's answer, for `parse`."""
        found = asdict(self)
        found["topics"] = {"events": found.pop("events_topic"), "catalog": found.pop("catalog_topic")}
        found["event_versions"] = [VERSION]
        return found


def parse(uri: str, found: object) -> Connect:
    """The answer in a decoded JSON object.

    Raises:
        WrongServerError: it is not the answer of a Runstone server, or of one that speaks another version.
    """
    if not isinstance(found, Mapping) or "installation_id" not in found:
        raise WrongServerError(
            f"{uri} answers, but it is not a Runstone server: {_PATH} has no installation_id"
        )
    try:
        versions = found.get("event_versions", [VERSION])
        if VERSION not in versions:
            raise WrongServerError(
                f"{uri} accepts events of version {versions}, this client writes {VERSION};"
                " update the older one"
            )
        servers = found["bootstrap_servers"]
        return Connect(
            installation_id=_text(found["installation_id"]),
            bootstrap_servers=",".join(servers) if isinstance(servers, list) else _text(servers),
            events_topic=_text(found["topics"]["events"]),
            catalog_topic=_text(found["topics"]["catalog"]),
            partitions=_count(found["partitions"]),
            artifact_root=str(found.get("artifact_root") or ""),
            web_url=str(found.get("web_url") or ""),
        )
    except (KeyError, TypeError, ValueError) as wrong:
        raise WrongServerError(
            f"{uri} answers {_PATH} with something that this version does not understand ({wrong!r})"
        ) from None


def _text(found: object) -> str:
    if not isinstance(found, str) or not found:
        raise ValueError(f"a text was expected, found {found!r}")
    return found


def _count(found: object) -> int:
    if not isinstance(found, int) or found < 1:
        raise ValueError(f"a number of partitions was expected, found {found!r}")
    return found


def open_connection(uri: str, timeout: float) -> tuple[http.client.HTTPConnection, str]:
    """An unopened connection to the host of *uri*, and the path that stands before the API's own."""
    parts = urlsplit(uri)
    host = parts.hostname or ""
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, parts.port, timeout=timeout, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=timeout)
    return connection, parts.path.rstrip("/")


def ask(uri: str) -> Connect:
    """Ask the server at *uri*. Blocks.

    Raises:
        ServerError: nobody answers, or a Runstone that is not ready; the message is for the user.
        WrongServerError: somebody else answers.
    """
    try:
        connection, prefix = open_connection(uri, TIMEOUT)
        try:
            connection.request("GET", prefix + _PATH, headers={"Accept": "application/json"})
            response = connection.getresponse()
            body = response.read(_ANSWER_MAX)
        finally:
            connection.close()
    except http.client.HTTPException as wrong:
        raise WrongServerError(
            f"{uri} answers, but it is not a Runstone server ({str(wrong) or type(wrong).__name__});"
            " check RUNSTONE_TRACKING_URI"
        ) from None
    except (OSError, ValueError) as wrong:
        reason = getattr(wrong, "strerror", None) or str(wrong)
        raise ServerError(
            f"nothing answers at {uri} ({reason}); everything logged waits in the spool until a server does"
        ) from None
    runstone = (response.headers.get("Server") or "").startswith("runstone/")
    if response.status != http.HTTPStatus.OK:
        if runstone and response.status == http.HTTPStatus.NOT_FOUND and prefix:
            raise WrongServerError(
                f"there is a Runstone at {uri}, but not below {prefix}; check RUNSTONE_TRACKING_URI"
            )
        if runstone or response.status in {502, 503, 504}:
            raise ServerError(f"{uri} is not ready yet (it answers {_PATH} with {response.status})")
        raise WrongServerError(
            f"{uri} answers, but it is not a Runstone server: {_PATH} gives {response.status}"
            f" {response.reason}; check RUNSTONE_TRACKING_URI"
        )
    try:
        found = json.loads(body)
    except ValueError:
        kind = response.headers.get_content_type()
        raise WrongServerError(
            f"{uri} answers, but it is not a Runstone server: {_PATH} gives {kind}, not JSON;"
            " check RUNSTONE_TRACKING_URI"
        ) from None
    return parse(uri, found)
