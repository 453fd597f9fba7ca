"""A sender's work in the foreground, until all that lies in some folders is sent, or nothing moves."""

import signal
import time
from asyncio import get_running_loop
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from runstone.sender.adoption import Session
from runstone.sender.lease import Lease
from runstone.sender.service import Service

SILENT_MOST: Final = 10.0
"""Seconds to wait for a server that has not answered at all."""

STALLED_MOST: Final = 45.0
"""Seconds without progress after which the rest is left; a wedged connection heals within 30."""


@dataclass(slots=True)
class Outcome:
    """How far it came.

    Attributes:
        records, size: what was acknowledged, and its bytes in the spool.
        sessions: how many have been seen so far; done: how many of them are through.
        live: how many are still being written; what they had written is sent.
        left: for each session with something left, who wrote it and why.
        interrupted: somebody wanted it to stop.
    """

    records: int = 0
    size: int = 0
    sessions: int = 0
    done: int = 0
    live: int = 0
    left: list[str] = field(default_factory=list)
    interrupted: bool = False


class Draining:
    """One run of a `Service`; used once."""

    def __init__(
        self,
        leases: Sequence[Lease],
        security: Mapping[str, Any],
        address: Callable[[Session], str] | None,
        show: Callable[[Outcome], None],
    ) -> None:
        """*show* is called some times a second; the others are those of `Service`."""
        self._leases = leases
        self._security = dict(security)
        self._address = address
        self._show = show
        self._outcome = Outcome()
        self._seen: set[str] = set()
        self._moved = time.monotonic()
        self._mark: object = None

    async def run(self) -> Outcome:
        """Send; the leases are free then."""
        self._service = Service(self._leases, self._security, kin=False, address=self._address)
        get_running_loop().add_signal_handler(signal.SIGINT, self._interrupt)
        await self._service.run(self._through)
        if self._service.waiting:
            self._outcome.left.append(f"{self._service.waiting} more sessions, which nobody has come to yet")
        return self._outcome

    def _interrupt(self) -> None:
        self._outcome.interrupted = True
        self._service.stop()

    def _through(self) -> bool:
        busy = self._look()
        self._show(self._outcome)
        if not busy and not self._service.waiting:
            return True
        mark = (self._outcome.records, self._outcome.size, self._outcome.done, self._service.uploaded)
        now = time.monotonic()
        if mark != self._mark:
            self._mark, self._moved = mark, now
        if any(session.uploading and not self._service.trouble(session) for session in busy):
            return False  # a large file moves, however slowly
        silent = all(session.link is None for session in busy)
        return now - self._moved > (SILENT_MOST if silent else STALLED_MOST)

    def _look(self) -> list[Session]:
        """Bring the outcome up to date; the sessions with something left."""
        service, outcome = self._service, self._outcome
        sessions = list(service.sessions)
        self._seen.update(session.id for session in sessions)
        busy = [session for session in sessions if not _through(session)]
        outcome.records, outcome.size = service.sent.records, service.sent.size
        outcome.sessions = len(self._seen) + service.waiting
        outcome.done = len(self._seen) - len(busy)
        outcome.live = sum(session.alive for session in sessions)
        outcome.left = [
            f"session {session.id} of {session.program or 'an unknown program'} for {session.uri}: "
            f"{service.finding(session) or service.trouble(session) or 'not all was acknowledged'}"
            for session in busy
        ]
        outcome.left += [f"session {session}: {why}" for session, why in service.unusable.items()]
        return busy


def _through(session: Session) -> bool:
    """Whether all that is there of a session was sent."""
    if not session.alive:
        return session.over
    sent = not session.outstanding and not session.uploading and not session.tail.has_more()
    return session.link is not None and sent
