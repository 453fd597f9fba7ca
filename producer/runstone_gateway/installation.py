"""What this gateway knows of its installation: asked of the read API, kept when that is away.

The facts (installation id, topics, number of partitions) never change while an installation lives, so the
first answer serves until the gateway stops.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from runstone.events.artifact_paths import MARKER
from runstone.exceptions import ServerError
from runstone_gateway.forwarding import Forwarding
from runstone_gateway.problems import LOG
from runstone_gateway.stores.store import MissingFileError, NameClashError, Store, StoreAwayError
from runstone_gateway.unavailable import ReadApiAwayError


@dataclass(frozen=True, slots=True)
class Facts:
    """Attributes:
    topics: names by role, ``events`` and ``catalog``.
    partitions: of the events topic when it was created; publishers hash by it.
    """

    installation_id: str
    topics: dict[str, str]
    partitions: int


MARK_DEADLINE: Final = 5.0
MARK_AGAIN: Final = 10.0
"""Seconds for the artifact store to be marked, and after a failure until that is tried again."""


class Installation:
    """Runs in the gateway's loop; marks the artifact store with the id as soon as it is known.

    A store that is away delays nothing but files: it is marked when it is back. One request at a time marks
    it (the lock).
    """

    def __init__(self, store: Store, forwarding: Forwarding) -> None:
        self._store = store
        self._forwarding = forwarding
        self._facts: Facts | None = None
        self._marked = False
        self._mark_not_before = 0.0
        self._marking = asyncio.Lock()

    async def facts(self) -> Facts:
        """The facts.

        Raises:
            ServerError: the read API cannot tell them yet, or the artifact store is another installation's.
        """
        if self._facts is None:
            try:
                status, found = await self._forwarding.get_json("/api/v1/installation")
            except (TimeoutError, aiohttp.ClientError, ValueError) as away:
                raise ReadApiAwayError(
                    f"the read API does not answer ({type(away).__name__})",
                    self._forwarding.outage.goes_on(),
                ) from away
            if status != 200:
                raise ReadApiAwayError(
                    str(found.get("detail", f"the read API answers {status}")),
                    self._forwarding.outage.goes_on(),
                )
            self._forwarding.outage.over()
            topics: Any = found["topics"]
            self._facts = Facts(str(found["installation_id"]), dict(topics), int(str(found["partitions"])))
        if not self._marked:
            await self._mark(self._facts.installation_id)
        return self._facts

    async def _mark(self, installation_id: str) -> None:
        loop = asyncio.get_running_loop()
        async with self._marking:
            if self._marked or loop.time() < self._mark_not_before:
                return
            try:
                async with asyncio.timeout(MARK_DEADLINE):
                    await _mark(self._store, installation_id)
            except (StoreAwayError, NameClashError, TimeoutError) as away:
                why = str(away) or f"no answer in {MARK_DEADLINE:.0f} s"
                LOG.warning("the artifact store %s cannot be used now: %s", self._store.uri(""), why)
                self._mark_not_before = loop.time() + MARK_AGAIN
            else:
                self._marked = True


async def _mark(store: Store, installation_id: str) -> None:
    """Write the marker by which a sender recognises the store; refuse another installation's."""
    try:
        marker = await store.open(MARKER)
    except MissingFileError:
        await store.put(MARKER, _once(f"{installation_id}\n".encode()))
        return
    try:
        content = b"".join([block async for block in marker.read(0, marker.size)])
    finally:
        await marker.close()
    owner = content.decode(errors="replace").strip()
    if owner != installation_id:
        raise ServerError(
            f"the artifact store {store.uri('')} belongs to installation {owner[:100]}, this one is "
            f"{installation_id}; name one of its own with RUNSTONE_ARTIFACT_ROOT"
        )


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
