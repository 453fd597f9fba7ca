"""Keeps texts of runs that are too large for an event in the artifact store, under their SHA-256."""

import hashlib
from collections.abc import AsyncIterator

from runstone.events.artifact_paths import large_field
from runstone_gateway.stores.store import Store, StoreAwayError
from runstone_gateway.unavailable import UnavailableError


class LargeFields:
    """The texts in *store*."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def put(self, experiment_id: int, run_id: str, text: bytes) -> str:
        """Store *text*; its hash, by which an event names it. Raises `UnavailableError`."""
        sha256 = hashlib.sha256(text).hexdigest()
        try:
            await self._store.put(str(large_field(experiment_id, run_id, sha256)), _whole(text))
        except StoreAwayError as away:
            raise UnavailableError(str(away)) from away
        return sha256


async def _whole(text: bytes) -> AsyncIterator[bytes]:
    yield text
