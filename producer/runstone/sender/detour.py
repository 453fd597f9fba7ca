"""The way round by HTTP: records go to the gateway's ``POST /api/v1/envelopes`` where brokers do not answer.

`Publisher` decides when. What is sent here are the very bytes that Kafka would have got, under the same
sessions and seqs, and the gateway answers with their offsets after Kafka has acknowledged them; so a batch of
which nobody knows whether it arrived is simply sent again, by whichever way is open then.

Requests block, so they run in a few threads of their own. They share connections that are kept open; the lock
is held while one is taken or given back.
"""

import asyncio
import http.client
import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Final

from runstone.exceptions import RunstoneError
from runstone.sender.connect import open_connection

AT_ONCE: Final = 4
"""Requests on their way; a partition has one, so more than four partitions take turns."""

TIMEOUT: Final = 25.0
"""Seconds without a sign of life; the gateway itself waits 15 for Kafka."""

_PATH: Final = "/api/v1/envelopes"
_ANSWER_MAX: Final = 16 * 1024 * 1024


class DetourAway(RunstoneError):
    """The gateway does not take records now, or does not know how; the message says why."""


class DetourRefused(RunstoneError):
    """Some record of the batch is refused for good; the message says why."""


class Detour:
    """Used on one event loop; closed by `close`."""

    def __init__(self, uri: str, installation_id: str) -> None:
        """Nothing is connected yet.

        Args:
            uri: the gateway's address.
            installation_id: whose ledger the records belong to; another's gateway refuses them.
        """
        self.uri = uri
        self._installation_id = installation_id
        self._executor = ThreadPoolExecutor(AT_ONCE, "runstone-detour")
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()
        self._closed = False

    async def send(self, values: Sequence[bytes]) -> list[int]:
        """Send envelopes, in order; their offsets, once Kafka has acknowledged all.

        Raises:
            DetourAway: not now; some of them may have been written.
            DetourRefused: one of them is refused for good; others may have been written.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._post, b"\n".join(values), len(values))

    def close(self) -> None:
        """Give up what is on its way; nobody waits for its answer."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._closed = True
            for connection in self._idle:
                connection.close()
            self._idle.clear()

    def _post(self, body: bytes, count: int) -> list[int]:
        headers = {
            "Content-Type": "application/x-ndjson",
            "Runstone-Installation": self._installation_id,
        }
        status, said = self._ask(body, headers)
        if status == HTTPStatus.OK:
            return self._offsets(said, count)
        detail, ours = _problem(said)
        why = f"the gateway at {self.uri} answers {status}: {detail}"
        if ours and status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}:
            raise DetourRefused(why)
        raise DetourAway(why)

    def _ask(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        fresh, prefix = open_connection(self.uri, TIMEOUT)
        with self._lock:
            kept = self._idle.pop() if self._idle else None
        try:
            if kept is not None:
                try:
                    return self._exchange(kept, prefix + _PATH, body, headers)
                except (OSError, http.client.HTTPException):
                    kept.close()  # the other end may have closed it long ago
            return self._exchange(fresh, prefix + _PATH, body, headers)
        except (OSError, ValueError, http.client.HTTPException) as wrong:
            fresh.close()
            raise DetourAway(f"the gateway at {self.uri} does not answer ({wrong!r})") from None

    def _exchange(
        self, connection: http.client.HTTPConnection, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        found = response.status, response.read(_ANSWER_MAX)
        with self._lock:
            if self._closed:
                connection.close()
            else:
                self._idle.append(connection)
        return found

    def _offsets(self, said: bytes, count: int) -> list[int]:
        try:
            offsets = [int(found["offset"]) for found in json.loads(said)["offsets"]]
        except (ValueError, KeyError, TypeError):
            offsets = []
        if len(offsets) != count:
            raise DetourAway(f"the gateway at {self.uri} answers something else than {count} offsets")
        return offsets


def _problem(said: bytes) -> tuple[str, bool]:
    """What the answer says, and whether it is this route's own word about one record of the batch."""
    try:
        found = json.loads(said)
        return str(found["detail"])[:300], isinstance(found.get("index"), int)
    except (ValueError, KeyError, TypeError, AttributeError):
        return said[:100].decode(errors="replace"), False
