"""What this gateway knows of its installation: asked of the read API, kept when that is away.

The facts (installation id, topics, number of partitions) never change while an installation lives, so the
first answer serves until the gateway stops.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from runstone.events.artifact_paths import MARKER
from runstone.exceptions import ServerError
from runstone_gateway.configuration import Configuration
from runstone_gateway.forwarding import Forwarding


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

    def __init__(self, configuration: Configuration, forwarding: Forwarding) -> None:
        self._root = configuration.artifact_root
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
            await asyncio.to_thread(_mark, self._root, facts.installation_id)
            self._facts = facts
        return self._facts


def _mark(root: Path, installation_id: str) -> None:
    """Write the marker by which a sender recognises the store; refuse another installation's folder."""
    marker = root / MARKER
    try:
        root.mkdir(parents=True, exist_ok=True)
        if marker.exists():
            owner = marker.read_text().strip()
            if owner != installation_id:
                raise ServerError(
                    f"the artifact folder {root} belongs to installation {owner}, this one is "
                    f"{installation_id}; name a folder of its own with RUNSTONE_ARTIFACT_ROOT"
                )
            return
        marker.write_text(installation_id + "\n")
    except OSError as wrong:
        raise ServerError(f"the artifact folder {root} cannot be used: {wrong.strerror}") from wrong
