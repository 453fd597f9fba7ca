"""What this gateway knows of its installation: asked of the read API, kept when that is away.

The facts (installation id, topics, number of partitions) never change while an installation lives, so the
first answer serves until the gateway stops.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp

from runstone.events.artifact_paths import MARKER
from runstone.exceptions import ServerError
from runstone_gateway.forwarding import Forwarding
from runstone_gateway.stores.store import MissingFileError, NameClashError, Store, StoreAwayError


@dataclass(frozen=True, slots=True)
class Facts:
    """Attributes:
    topics: names by role, ``events`` and ``catalog``.
    partitions: of the events topic when it was created; publishers hash by it.
    """

    installation_id: str
    topics: dict[str, str]
    partitions: int


class Installation:
    """Runs in the gateway's loop; marks the artifact store with the id as soon as it is known."""

    def __init__(self, store: Store, forwarding: Forwarding) -> None:
        self._store = store
        self._forwarding = forwarding
        self._facts: Facts | None = None

    async def facts(self) -> Facts:
        """The facts. Raises `ServerError` while the read API cannot tell them yet."""
        if self._facts is None:
            try:
                status, found = await self._forwarding.get_json("/api/v1/installation")
            except (TimeoutError, aiohttp.ClientError, ValueError) as away:
                raise ServerError(f"the read API does not answer ({type(away).__name__})") from away
            if status != 200:
                raise ServerError(str(found.get("detail", f"the read API answers {status}")))
            facts = Facts(str(found["installation_id"]), dict(found["topics"]), int(str(found["partitions"])))  # type: ignore[call-overload]
            await _mark(self._store, facts.installation_id)
            self._facts = facts
        return self._facts


async def _mark(store: Store, installation_id: str) -> None:
    """Write the marker by which a sender recognises the store; refuse another installation's."""
    try:
        try:
            marker = await store.open(MARKER)
        except MissingFileError:
            await store.put(MARKER, _once(f"{installation_id}\n".encode()))
            return
        try:
            owner = b"".join([block async for block in marker.read(0, marker.size)]).decode().strip()
        finally:
            await marker.close()
    except (StoreAwayError, NameClashError) as wrong:
        raise ServerError(f"the artifact store {store.uri('')} cannot be used: {wrong}") from wrong
    if owner != installation_id:
        raise ServerError(
            f"the artifact store {store.uri('')} belongs to installation {owner[:100]}, this one is "
            f"{installation_id}; name one of its own with RUNSTONE_ARTIFACT_ROOT"
        )


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
