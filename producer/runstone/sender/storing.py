"""Brings one artifact into the store: straight into its folder where that is visible, else by the gateway.

Everything here blocks and runs in a worker thread.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from runstone.events.artifact_paths import MARKER, check_artifact_path
from runstone.exceptions import RunstoneError
from runstone.sender.connect import Connect


class UploadRefused(RunstoneError):
    """The artifact can never be stored; the message says why."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the client left to be uploaded; see ``docs/spool.md``."""

    id: str
    run_id: str
    experiment_id: int
    path: str
    size: int
    media_type: str
    time_ms: int

    def collides(self, other: "Order") -> bool:
        """Whether the two have the same place, or one's place is a folder of the other's."""
        if self.run_id != other.run_id:
            return False
        mine, others = self.path + "/", other.path + "/"
        return mine.startswith(others) or others.startswith(mine)


@dataclass(frozen=True, slots=True)
class Stored:
    """Where the artifact lies now, durably, and what it is."""

    uri: str
    size: int
    sha256: str


def parse_order(found: dict[str, Any] | None) -> Order:
    """The order in a decoded JSON object. Raises `UploadRefused` where it is none."""
    try:
        assert found is not None
        order = Order(
            str(found["id"]),
            str(found["run_id"]),
            int(found["experiment_id"]),
            check_artifact_path(found["path"]),
            int(found["size"]),
            str(found.get("media_type") or "application/octet-stream"),
            int(found["time_ms"]),
        )
    except (AssertionError, KeyError, TypeError, ValueError) as wrong:
        raise UploadRefused(f"the order cannot be understood: {wrong!r}") from None
    if not order.run_id.isalnum():
        raise UploadRefused(f"the run id {order.run_id!r} is none")
    return order


def check_content(order: Order, data: Path) -> None:
    """Raise `UploadRefused` unless *data* can be what was ordered."""
    try:
        size = data.stat().st_size
    except FileNotFoundError:
        raise UploadRefused("its content is missing in the spool") from None
    if size != order.size:
        raise UploadRefused(f"it should have {order.size} bytes, the spool has {size}")


def visible_root(connect: Connect) -> Path | None:
    """The store's folder where this machine sees it: proved by the installation's id in its marker."""
    parts = urlsplit(connect.artifact_root)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        root = Path(unquote(parts.path))
    elif connect.artifact_root.startswith("/"):
        root = Path(connect.artifact_root)
    else:
        return None
    try:
        marked = (root / MARKER).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return root if marked == connect.installation_id and os.access(root, os.W_OK | os.X_OK) else None
