"""Artifact stores: one interface (``store``), kept by a folder (``folder``) or a bucket (``bucket``)."""

from pathlib import Path

from runstone.events.artifact_roots import ArtifactRoot
from runstone_gateway.stores.folder import FolderStore
from runstone_gateway.stores.store import Store


def open_store(root: ArtifactRoot) -> Store:
    """The store at *root*. Nothing is connected or made yet."""
    if isinstance(root, Path):
        return FolderStore(root)
    # a gateway over a folder needs no client of object stores in memory
    from runstone_gateway.stores.bucket import BucketStore  # noqa: PLC0415

    return BucketStore(root)
