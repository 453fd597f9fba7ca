"""Waits until the read model has reached offsets that a read must have seen.

Many requests of one event loop wait at once. One task watches for all of them and lives as long as any of
them waits: it looks how far each partition is (one statement), answers those whose offsets have been reached,
refuses those that will not be reached in time, and sleeps until the worker notifies of a commit, or for a
moment where notifications can be missed or cannot be had (a replica cannot listen). The connection that
listens is opened by the first wait and kept; when it breaks, a later look opens another.

Nothing is locked: everything runs in the one loop, and each waiter is a future that only the task resolves.
A waiter that is cancelled takes itself off the list; closing cancels the task and refuses nobody, since the
server has stopped by then.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from runstone_query.at_least import AtLeast, behind, missing
from runstone_query.configuration import (
    LISTEN_AGAIN_S,
    LOOK_EVERY_S,
    LOOK_EVERY_UNHEARD_S,
    RETRY_AFTER_MAX_S,
    RETRY_AFTER_UNKNOWN_S,
)
from runstone_query.outage import patience
from runstone_query.pace import Pace
from runstone_query.problems import Problem
from runstone_store.pool import open_listener

_log: Final = logging.getLogger(__name__)

CHANNEL: Final = "runstone_applied"
"""The worker notifies it after each commit."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    wanted: AtLeast
    deadline: float
    reached: asyncio.Future[None]


class Progress:
    """Watches the read model at *dsn*; *look* answers how far each partition has been applied."""

    def __init__(self, dsn: str, look: Callable[[], Awaitable[AtLeast]]) -> None:
        self._dsn = dsn
        self._look = look
        self._pace = Pace()
        self._waiting: set[_Waiter] = set()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._listener: Any = None
        self._listen_after = 0.0

    async def reach(self, wanted: AtLeast, deadline: float) -> None:
        """Return when *wanted* has been reached.

        Raises:
            Problem: 503 with the time to ask again, as soon as it is clear that *deadline* (of the loop's
                clock) will come first; or what *look* raises.
        """
        loop = asyncio.get_running_loop()
        waiter = _Waiter(wanted, deadline, loop.create_future())
        self._waiting.add(waiter)
        self._woken.set()  # the notification may have come before this waiter did
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._watch())
        try:
            # the task looks at the deadlines too; this one is for a database that does not even answer
            async with asyncio.timeout_at(deadline + 1):
                await waiter.reached
        except TimeoutError:
            raise behind(RETRY_AFTER_UNKNOWN_S) from None
        finally:
            self._waiting.discard(waiter)

    async def close(self) -> None:
        """End the watch and the connection that listens."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._listener is not None:
            self._listener.terminate()

    async def _watch(self) -> None:
        while self._unresolved():
            await self._listen()
            self._woken.clear()
            try:
                applied = await self._look()
            except Exception as wrong:  # whatever it is, it belongs to those who wait
                for waiter in self._unresolved():
                    waiter.reached.set_exception(_again(wrong))
                return
            self._judge(applied)
            if self._unresolved():
                try:
                    async with asyncio.timeout(LOOK_EVERY_S if self._hears else LOOK_EVERY_UNHEARD_S):
                        await self._woken.wait()
                except TimeoutError:
                    pass

    def _unresolved(self) -> list[_Waiter]:
        return [waiter for waiter in self._waiting if not waiter.reached.done()]

    def _judge(self, applied: AtLeast) -> None:
        now = asyncio.get_running_loop().time()
        waiting = self._unresolved()
        self._pace.observe(now, applied, *(waiter.wanted for waiter in waiting))
        for waiter in waiting:
            lacking = missing(waiter.wanted, applied)
            if not lacking:
                waiter.reached.set_result(None)
                continue
            known = {place: self._pace.seconds(now, place, offset) for place, offset in lacking.items()}
            longest = max((seconds for seconds in known.values() if seconds is not None), default=0.0)
            if math.isinf(longest):
                stood = [self._pace.standing(now, place) for place in known if known[place] == longest]
                waiter.reached.set_exception(behind(patience(max(stood), waited=True)))
            elif now + longest > waiter.deadline or now >= waiter.deadline:
                waiter.reached.set_exception(behind(_retry_after(longest)))

    @property
    def _hears(self) -> bool:
        return self._listener is not None and not self._listener.is_closed()

    async def _listen(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._hears or now < self._listen_after:
            return
        self._listen_after = now + LISTEN_AGAIN_S
        try:
            self._listener = await open_listener(
                self._dsn, "runstone api, listening", CHANNEL, self._woken.set
            )
        except (
            OSError,
            TimeoutError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
        ) as wrong:
            _log.info("no notifications (%s: %s); looking more often instead", type(wrong).__name__, wrong)


def _retry_after(seconds: float) -> int:
    if seconds == 0.0:
        return RETRY_AFTER_UNKNOWN_S
    return min(RETRY_AFTER_MAX_S, max(1, math.ceil(seconds)))


def _again(wrong: Exception) -> Exception:
    """*wrong* for one more waiter: one exception raised in many tasks would gather all their tracebacks."""
    if isinstance(wrong, Problem):
        return Problem(wrong.status, wrong.kind, wrong.detail, retry_after=wrong.retry_after)
    return wrong
