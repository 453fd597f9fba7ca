"""Stores an artifact by the gateway, where this machine does not see the store.

Worker threads share one `Gateway`, which keeps connections open between files. A kept connection may have
been closed by the server meanwhile: then the file is sent once more over a new one.
"""

import http.client
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from runstone.events.limits import KIB, MIB
from runstone.exceptions import RunstoneError, ServerError
from runstone.sender.connect import open_connection
from runstone.sender.copying import sha256_of
from runstone.sender.storing import Order, Stored, UploadRefused

TIMEOUT: Final = 60.0
"""Seconds without a sign of life from the gateway."""

SLOWEST: Final = 10 * MIB
"""Bytes a second that a gateway's disk or bucket is given in addition to that."""

TOGETHER: Final = 64 * KIB
"""Bytes of a file that is sent together with its request's head."""

LARGE: Final = 64 * MIB
"""Bytes from which the gateway is asked before they are sent: it may have them, or refuse their name."""

_PATH: Final = "/api/v1/artifacts"
_ANSWER_MOST: Final = 64 * KIB

_PASSING: Final = {
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
}
"""4xx answers that another try, or somebody's repair, may turn; the content was damaged on its way (422)."""


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    target: str
    headers: Mapping[str, str]
    body: Path | None
    size: int


class Gateway:
    """The gateway at *uri*."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        _, self._prefix = open_connection(uri, TIMEOUT)
        self._lock = threading.Lock()
        self._kept: list[http.client.HTTPConnection] = []

    def close(self) -> None:
        """Close the connections that no thread uses now."""
        with self._lock:
            kept, self._kept = self._kept, []
        for connection in kept:
            connection.close()

    def store(self, order: Order, data: Path, *, doubtful: bool) -> Stored:
        """Send *data* to its place.

        *doubtful*: an attempt before this one may have done it, so the gateway is asked first.

        Raises:
            UploadRefused: the gateway refuses it for good.
            ServerError, OSError: not now.
        """
        sha256 = sha256_of(data)
        if (doubtful or order.size >= LARGE) and (found := self._ask(order, sha256)):
            return found
        headers = {
            "Content-Length": str(order.size),
            "Content-Type": order.media_type,
            "X-Content-SHA256": sha256,
        }
        status, answer = self._exchange(_Request("PUT", self._target(order), headers, data, order.size))
        if status == HTTPStatus.CREATED:
            return self._stored(answer, order, sha256)
        raise self._failure(status, answer)

    def _ask(self, order: Order, sha256: str) -> Stored | None:
        """What the gateway has there already, where that is the same."""
        target = self._target(order, size=order.size, sha256=sha256)
        try:
            status, answer = self._exchange(_Request("GET", target, {}, None, order.size))
        except TimeoutError:
            return None  # to hash what lies there takes longer than to send it
        if status == HTTPStatus.OK:
            return self._stored(answer, order, sha256)
        if status == HTTPStatus.CONFLICT:
            raise self._failure(status, answer)
        return None  # also from a gateway that does not know the question

    def _target(self, order: Order, **described: object) -> str:
        named = {"experiment_id": order.experiment_id, "run_id": order.run_id, "path": order.path}
        return f"{self._prefix}{_PATH}?{urlencode({**named, **described})}"

    def _exchange(self, request: _Request) -> tuple[int, bytes]:
        """Status and body of the answer."""
        with self._lock:
            kept = self._kept.pop() if self._kept else None
        if kept is not None:
            try:
                return self._over(kept, request)
            except (ConnectionError, ServerError):
                pass  # closed by the server while nobody used it
        connection, _ = open_connection(self._uri, TIMEOUT)
        return self._over(connection, request)

    def _over(self, connection: http.client.HTTPConnection, request: _Request) -> tuple[int, bytes]:
        keep = False
        try:
            cut_off = _send(connection, request)
            connection.sock.settimeout(TIMEOUT + request.size / SLOWEST)
            response = connection.getresponse()
            body = response.read(_ANSWER_MOST)
            keep = not cut_off and response.isclosed() and connection.sock is not None
            if keep:
                connection.sock.settimeout(TIMEOUT)
        except http.client.HTTPException as wrong:
            raise ServerError(f"{self._uri} did not take the artifact: {wrong!r}") from wrong
        finally:
            if not keep:
                connection.close()
        with self._lock:
            self._kept.append(connection)
        return response.status, body

    def _failure(self, status: int, answer: bytes) -> RunstoneError:
        said = f"{self._uri} answers {status}: {answer[:300].decode(errors='replace')}"
        if 400 <= status < 500 and status not in _PASSING:
            return UploadRefused(said)
        return ServerError(said)

    def _stored(self, answer: bytes, order: Order, sha256: str) -> Stored:
        try:
            found = json.loads(answer)
            stored = Stored(str(found["uri"]), int(found["size"]), str(found["sha256"]))
        except (ValueError, KeyError, TypeError) as wrong:
            raise ServerError(
                f"{self._uri} took {order.path} but answered something else: {wrong!r}"
            ) from None
        if (stored.size, stored.sha256) != (order.size, sha256):
            raise ServerError(f"{self._uri} stored {order.path} with other content; it is sent again")
        return stored


def _send(connection: http.client.HTTPConnection, request: _Request) -> bool:
    """Send a request; whether the server stopped listening, which it does when it has answered already."""
    if request.body is None or request.size <= TOGETHER:
        body = None if request.body is None else request.body.read_bytes()
        connection.request(request.method, request.target, body, dict(request.headers))
        return False
    connection.putrequest(request.method, request.target, skip_accept_encoding=True)
    for name, value in request.headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    with request.body.open("rb", buffering=0) as source:
        try:
            connection.sock.sendfile(source)
        except (BrokenPipeError, ConnectionResetError):
            return True
    return False
