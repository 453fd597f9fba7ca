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
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Conclusion = Callable[[], Awaitable[Mapping[str, Any]]]
"""What a write still does once it is appended: wait, ask for the verdict, answer. May run again."""

REMEMBERED_FOR: Final = 600.0
"""Seconds; MLflow's client gives up after about four minutes."""

REMEMBERED_MOST: Final = 64 * 1024 * 1024
"""Bytes, roughly; the oldest attempts are forgotten first."""

ATTEMPT_COST: Final = 1500
"""Bytes, roughly, of an attempt besides the answer that it keeps."""


@dataclass(slots=True, eq=False)
class Attempt:
    """One write of one client.

    Attributes:
        abandoned: tells whether the client is gone while the attempt is still being served.
        conclusion: None until something was appended.
        checking: held while that is decided, so that whoever takes the attempt over does not append as well.
        size: bytes, roughly, that it takes while it is remembered.
    """

    key: bytes
    abandoned: Callable[[], bool]
    conclusion: Conclusion | None = None
    checking: asyncio.Lock = field(default_factory=asyncio.Lock)
    size: int = 0


class Undelivered:
    """The attempts whose answers may be missing."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._attempts: dict[bytes, list[Attempt]] = {}
        self._over: OrderedDict[Attempt, float] = OrderedDict()
        self._size = 0

    def begin(self, method: str, path: str, body: bytes, abandoned: Callable[[], bool]) -> Attempt:
        """The attempt that this request retries, else a new one."""
        self._forget()
        key = hashlib.sha256(f"{method} {path}\n".encode() + body).digest()
        attempts = self._attempts.setdefault(key, [])
        for attempt in attempts:
            if attempt.abandoned():
                self._resume(attempt)
                attempt.abandoned = abandoned
                return attempt
        attempts.append(made := Attempt(key, abandoned))
        return made

    def end(
        self, attempt: Attempt, abandoned: Callable[[], bool], *, delivered: bool, keeps: int = 0
    ) -> None:
        """The request that began with *abandoned* was answered; a retry may have taken its attempt over.

        *delivered*: with a success or a refusal, and to somebody. *keeps*: the bytes of the answer that the
        conclusion keeps, roughly.
        """
        if attempt.abandoned is not abandoned:
            return
        if delivered or attempt.conclusion is None:
            self._drop(attempt)
            return
        attempt.abandoned = _over  # *abandoned* knows the whole request, which may go now
        attempt.size = ATTEMPT_COST + keeps
        self._size += attempt.size
        self._over[attempt] = self._now()
        self._forget()

    def _forget(self) -> None:
        oldest = self._now() - REMEMBERED_FOR
        while self._over:
            attempt, since = next(iter(self._over.items()))
            if since >= oldest and self._size <= REMEMBERED_MOST:
                return
            self._resume(attempt)
            self._drop(attempt)

    def _resume(self, attempt: Attempt) -> None:
        if self._over.pop(attempt, None) is not None:
            self._size -= attempt.size

    def _drop(self, attempt: Attempt) -> None:
        attempts = self._attempts.get(attempt.key, [])
        if attempt in attempts:
            attempts.remove(attempt)
        if not attempts:
            self._attempts.pop(attempt.key, None)


def _over() -> bool:
    return True
