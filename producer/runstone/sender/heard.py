"""Tells each gateway which sessions are in this sender's care: ``POST /api/v1/heard``, once a minute.

So the server can tell a training that logs nothing for a while from a machine that vanished. Said of a
session from its first acknowledged record until its end is published, whether its process lives or what it
left is still on its way; a new one is told within a second. Nothing depends on the answer: where the gateway
does not take it, it is told again in a moment.

One task on the sender's loop, cancelled when the sender leaves; requests block, so worker threads make them,
one at a time for each gateway.
"""

import asyncio
import http.client
import json
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from http import HTTPStatus
from typing import Final
from weakref import WeakKeyDictionary

from runstone.exceptions import ServerError
from runstone.sender.adoption import Session
from runstone.sender.connect import TIMEOUT, open_connection
from runstone.sender.link import Link
from runstone.sender.tail import Position
from runstone.spool.segment import HEADER_SIZE

log = logging.getLogger(__name__)

EVERY: Final = 60.0
AGAIN_LEAST: Final = 2.0
AGAIN_MOST: Final = 60.0
"""Seconds between heartbeats; after one that was not taken, growing."""

AT_ONCE: Final = 5_000
"""Sessions of one request."""

_LOOK: Final = 1.0
_PATH: Final = "/api/v1/heard"
_ANSWER_MAX: Final = 64 * 1024


class _Told:
    """What one gateway was told: the sessions, when, and how long not to try again after a failure."""

    def __init__(self) -> None:
        self.sessions: frozenset[str] = frozenset()
        self.at = float("-inf")
        self.not_before = float("-inf")
        self.delay = AGAIN_LEAST


class Heartbeats:
    """Used on the sender's loop."""

    def __init__(self, sessions: Mapping[str, Session], executor: Executor) -> None:
        """*sessions*: those that the sender delivers, by id; looked at once a second."""
        self._sessions = sessions
        self._executor = executor
        self._told: WeakKeyDictionary[Link, _Told] = WeakKeyDictionary()

    async def run(self) -> None:
        """Tell, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK)
            cared_for: dict[Link, list[Session]] = {}
            for session in self._sessions.values():
                if session.link and not session.ended and session.acknowledged > Position(1, HEADER_SIZE):
                    cared_for.setdefault(session.link, []).append(session)
            await asyncio.gather(*(self._tell(link, sessions) for link, sessions in cared_for.items()))

    async def _tell(self, link: Link, sessions: Sequence[Session]) -> None:
        told = self._told.setdefault(link, _Told())
        ids = frozenset(session.id for session in sessions)
        now = time.monotonic()
        if now < told.not_before or (ids <= told.sessions and now - told.at < EVERY):
            return
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(
                self._executor, post, sessions[0].uri, link.connect.installation_id, sorted(ids)
            )
        except ServerError as wrong:
            if told.delay == AGAIN_LEAST:
                log.info("%s", wrong)
            told.not_before = time.monotonic() + told.delay
            told.delay = min(AGAIN_MOST, told.delay * 2)
        else:
            told.sessions, told.at, told.delay = ids, now, AGAIN_LEAST


def post(uri: str, installation_id: str, sessions: Sequence[str]) -> None:
    """Tell the gateway at *uri*. Blocks for a few seconds at most.

    Raises:
        ServerError: it does not answer, or does not take it.
    """
    try:
        connection, prefix = open_connection(uri, TIMEOUT)
        try:
            for first in range(0, len(sessions), AT_ONCE):
                body = json.dumps({"sessions": sessions[first : first + AT_ONCE]})
                headers = {"Content-Type": "application/json", "Runstone-Installation": installation_id}
                connection.request("POST", prefix + _PATH, body, headers)
                response = connection.getresponse()
                said = response.read(_ANSWER_MAX)
                if response.status != HTTPStatus.ACCEPTED:
                    raise ServerError(
                        f"{uri} does not take in which sessions live: {response.status}"
                        f" {said[:300].decode(errors='replace')}"
                    )
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException) as wrong:
        raise ServerError(f"{uri} cannot be told which sessions live: {wrong!r}") from None
