"""Brings one artifact into the store: straight into its folder where that is visible, else by the gateway.

Everything here blocks and runs in a worker thread.
"""

import hashlib
import http.client
import json
import os
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlencode, urlsplit

from runstone.events.artifact_paths import MARKER, check_artifact_path, location
from runstone.exceptions import RunstoneError, ServerError
from runstone.sender.connect import Connect, open_connection

BLOCK: Final = 1 << 20
TIMEOUT: Final = 60.0
"""Seconds without a sign of life from the gateway."""

_PASSING: Final = {
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
}
"""4xx answers that another try, or somebody's repair, may turn; the content was damaged on its way (422)."""


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


@dataclass(frozen=True, slots=True)
class Stored:
    """Where the artifact lies now, and what it is."""

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


def store(order: Order, data: Path, uri: str, connect: Connect) -> Stored:
    """Bring *data* to where it belongs.

    Raises:
        UploadRefused: it can never be stored.
        ServerError, OSError: not now.
    """
    if not data.exists():
        raise UploadRefused("its content is missing in the spool")
    if data.stat().st_size != order.size:
        raise UploadRefused(f"it should have {order.size} bytes, the spool has {data.stat().st_size}")
    root = visible_root(connect)
    if root is not None:
        return _copy(order, data, root)
    return _put(order, data, uri)


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


def _copy(order: Order, data: Path, root: Path) -> Stored:
    place = root / location(order.experiment_id, order.run_id, order.path)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        ambiguous = place.is_dir()
    except (FileExistsError, NotADirectoryError):
        ambiguous = True
    if ambiguous:
        raise UploadRefused(f"{order.path} is a file and a folder in this run; choose another artifact path")
    temporary = place.parent / f".{order.id}.{os.getpid()}.part"
    digest = hashlib.sha256()
    try:
        with data.open("rb") as source, temporary.open("wb") as target:
            while block := source.read(BLOCK):
                digest.update(block)
                target.write(block)
            target.flush()
            os.fsync(target.fileno())
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(place.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return Stored(place.as_uri(), order.size, digest.hexdigest())


def _put(order: Order, data: Path, uri: str) -> Stored:
    with data.open("rb") as source:
        sha256 = hashlib.file_digest(source, "sha256").hexdigest()
    query = urlencode({"experiment_id": order.experiment_id, "run_id": order.run_id, "path": order.path})
    connection, prefix = open_connection(uri, TIMEOUT)
    headers = {
        "Content-Length": str(order.size),
        "Content-Type": order.media_type,
        "X-Content-SHA256": sha256,
    }
    try:
        with data.open("rb") as source:
            connection.request("PUT", f"{prefix}/api/v1/artifacts?{query}", body=source, headers=headers)
        response = connection.getresponse()
        body = response.read(1 << 16)
    except http.client.HTTPException as wrong:
        raise ServerError(f"{uri} did not take the artifact {order.path}: {wrong!r}") from wrong
    finally:
        connection.close()
    if response.status == HTTPStatus.CREATED:
        return _stored(uri, body, order, sha256)
    said = f"{uri} answers {response.status} {response.reason}: {body[:300].decode(errors='replace')}"
    if 400 <= response.status < 500 and response.status not in _PASSING:
        raise UploadRefused(said)
    raise ServerError(said)


def _stored(uri: str, body: bytes, order: Order, sha256: str) -> Stored:
    try:
        found = json.loads(body)
        stored = Stored(str(found["uri"]), int(found["size"]), str(found["sha256"]))
    except (ValueError, KeyError, TypeError) as wrong:
        raise ServerError(f"{uri} took {order.path} but answered something else: {wrong!r}") from None
    if (stored.size, stored.sha256) != (order.size, sha256):
        raise ServerError(f"{uri} stored {order.path} with other content; it is sent again")
    return stored
