"""Whether a server answers at an address, found out in a moment and remembered for one.

MLflow's own requests try for minutes; what a training needs to know before it goes on without a server is
whether there is one at all.
"""

import socket
import threading
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

CONNECT_S: Final = 1.0
"""How long a connection may take; a host that drops packets says nothing."""

REMEMBERED_S: Final = 1.0
"""How long an answer serves others; a server may come or go meanwhile, which they survive."""


GIVEN_UP_S: Final = 10.0
"""How long a server that did not answer is not asked again."""


class Reachability:
    """Whether something listens at *address*, an http or https URL. Any thread may ask."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._lock = threading.Lock()
        self._until = 0.0
        self._found = False

    def __call__(self) -> bool:
        """Ask, or repeat the answer of the last second."""
        with self._lock:
            if monotonic() >= self._until:
                try:
                    socket.create_connection((self._host, self._port), CONNECT_S).close()
                    self._found = True
                except OSError:
                    self._found = False
                self._until = monotonic() + REMEMBERED_S
            return self._found

    def lost(self) -> None:
        """It listens but gives no answers: it is taken to be away for a while."""
        with self._lock:
            self._found, self._until = False, monotonic() + GIVEN_UP_S

    def forked(self) -> None:
        """In the child after a fork: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()
