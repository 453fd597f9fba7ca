"""Remembers writes whose answer did not reach the client, so that a retry joins them and writes nothing.

MLflow's client sends a request again after a 503 and after a time-out. What was appended by then is in the
ledger, or will be: the identical request (method, path and body) that comes next gets the outcome of that
write. A request is joined only once it is over for its client, because its answer was a 503 or its
connection is gone: two clients that send the same at the same time are two writes. One whose client is gone
before anything was appended is taken over as well, since it goes on and may append yet.

Plain dictionaries on the gateway's loop; the clock comes in as an argument.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Conclusion = Callable[[], Awaitable[Mapping[str, Any]]]
"""What a write still does once it is appended: wait, ask for the verdict, answer. May run again."""

REMEMBERED_FOR: Final = 600.0
"""Seconds; MLflow's client gives up after about four minutes."""

REMEMBERED_MOST: Final = 50_000
"""Attempts; the oldest are forgotten first."""


@dataclass(slots=True, eq=False)
class Attempt:
    """One write of one client.

    Attributes:
        abandoned: tells whether the client is gone while the attempt is still being served.
        conclusion: None until something was appended.
        checking: held while that is decided, so that whoever takes the attempt over does not append as well.
        over: its answer did not reach the client. since: when that was last so.
    """

    key: bytes
    abandoned: Callable[[], bool]
    conclusion: Conclusion | None = None
    checking: asyncio.Lock = field(default_factory=asyncio.Lock)
    over: bool = False
    since: float = 0.0


class Undelivered:
    """The attempts whose answers may be missing."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._attempts: dict[bytes, list[Attempt]] = {}
        self._over: deque[tuple[float, Attempt]] = deque()

    def begin(self, method: str, path: str, body: bytes, abandoned: Callable[[], bool]) -> Attempt:
        """The attempt that this request retries, else a new one."""
        self._forget()
        key = hashlib.sha256(f"{method} {path}\n".encode() + body).digest()
        attempts = self._attempts.setdefault(key, [])
        for attempt in attempts:
            if attempt.over or attempt.abandoned():
                attempt.over, attempt.abandoned = False, abandoned
                return attempt
        attempts.append(made := Attempt(key, abandoned))
        return made

    def end(self, attempt: Attempt, abandoned: Callable[[], bool], *, delivered: bool) -> None:
        """The request that began with *abandoned* was answered; a retry may have taken its attempt over.

        *delivered*: with a success or a refusal, and to somebody.
        """
        if attempt.abandoned is not abandoned:
            return
        if not delivered and attempt.conclusion is not None:
            attempt.over, attempt.since = True, self._now()
            self._over.append((attempt.since, attempt))
        else:
            self._drop(attempt)

    def _forget(self) -> None:
        oldest = self._now() - REMEMBERED_FOR
        while self._over and (self._over[0][0] < oldest or len(self._over) > REMEMBERED_MOST):
            since, attempt = self._over.popleft()
            if attempt.over and attempt.since == since:
                self._drop(attempt)

    def _drop(self, attempt: Attempt) -> None:
        attempts = self._attempts.get(attempt.key, [])
        if attempt in attempts:
            attempts.remove(attempt)
        if not attempts:
            self._attempts.pop(attempt.key, None)
