"""Publishes what lies in the store as pointers of the run or logged model whose file it is.

A file's pointer is appended after the file is there, so what the read model shows can be read. A file that
is no run's and no model's has none.
"""

from collections import OrderedDict
from typing import Final

from runstone.events import Event
from runstone.events.types import Artifact, ArtifactDeleted, ModelArtifact
from runstone_gateway.clock import now_ms
from runstone_gateway.media_types import media_type_of
from runstone_gateway.mlflow.artifact_places import Owner, owner_of
from runstone_gateway.writes import Writes

_STREAMS_KEPT: Final = 10_000
"""Models whose stream is remembered: it never changes, and each of a model's files needs it."""


class Pointers:
    """Used on the gateway's loop."""

    def __init__(self, writes: Writes) -> None:
        self._writes = writes
        self._ledger = writes.ledger
        self._streams: OrderedDict[str, str] = OrderedDict()

    async def ready(self, key: str) -> None:
        """Return once `stored` can do its part. Raises `ServerError`."""
        if owner_of(key) is not None:
            await self._ledger.ready()

    async def stored(self, key: str, uri: str, size: int, sha256: str) -> None:
        """Publish that a file lies at *key*; *sha256* is empty where nobody here has seen its content.

        Raises:
            ServerError: it is not known now whose it is, or not acknowledged in time.
        """
        owner = owner_of(key)
        if owner is None or not owner.path:
            return
        await self._ledger.ready()
        media_type, now = media_type_of(owner.path), now_ms()
        event: Event
        if owner.run_id:
            event = Artifact(owner.path, uri, size, sha256, media_type, now)
        else:
            event = ModelArtifact(owner.model_id, owner.path, uri, size, sha256, media_type, now)
        await self._ledger.append(await self._stream(owner), [event]).wait()

    async def deleted(self, key: str) -> None:
        """Publish that what lay at *key* is gone. Raises `ServerError`."""
        owner = owner_of(key)
        if owner is None or not owner.run_id:
            return  # the contract has no such event of a model: its files go with it
        await self._ledger.ready()
        await self._ledger.append(owner.run_id, [ArtifactDeleted(owner.path, now_ms())]).wait()

    async def _stream(self, owner: Owner) -> str:
        if owner.run_id:
            return owner.run_id
        model = owner.model_id
        if (stream := self._streams.get(model)) is None:
            found = await self._writes.model(model)
            if found is None:
                return model
            stream = self._streams[model] = found[0]
            if len(self._streams) > _STREAMS_KEPT:
                self._streams.popitem(last=False)
        return stream
