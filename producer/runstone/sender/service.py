"""The sender's loop: what is done when, and when the sender leaves.

One task makes rounds (find sessions, look for uploads, deliver, sleep), one keeps house twice a second
(liveness, syncing, removal of what is over, idleness), one tells gateways which sessions live. Blocking work
goes to a few worker threads.
"""

import asyncio
import logging
import math
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from runstone.sender import pacing
from runstone.sender.adoption import Session
from runstone.sender.delivery import Delivery, Sent
from runstone.sender.destinations import Destination
from runstone.sender.discovery import Bound, Discovery
from runstone.sender.heard import Heartbeats
from runstone.sender.lease import Lease
from runstone.sender.liveness import end_session
from runstone.sender.syncing import PERIOD, Syncing
from runstone.sender.uploads import Uploads
from runstone.sender.waking import Waking

log = logging.getLogger(__name__)

IDLE: Final = 3.0
"""Seconds without a session or anything to send after which the sender leaves."""

ADOPTED_MOST: Final = 64
ADOPTED_LEAST: Final = 4
"""Sessions of dead processes that are worked on at a time: each costs memory, however little it left. The
places that they are bound for share them, and each gets the least."""

TELL_EVERY: Final = 60.0
"""Seconds between lines in the log about what was sent."""

REMOVED: Final = "the spool was removed: there is nothing left to send"


class Service:
    """Everything that runs while the lease is held."""

    def __init__(
        self,
        leases: Sequence[Lease],
        security: dict[str, Any],
        *,
        kin: bool = True,
        address: Callable[[Session], str] | None = None,
    ) -> None:
        """To be made on the loop.

        Args:
            leases: of the folders to be served. In the first one clients wake the sender, and what is known
                of destinations and what was rejected lies there.
            security: keyword arguments for aiokafka, see ``kafka_settings``.
            kin: take along what was left in folders of kin, see ``discovery``.
            address: gives the tracking URI by which a session's server is reached; None: its own.
        """
        self._address = address
        self._leases = leases
        self._lease = leases[0]
        self._folder = folder = self._lease.folder
        self._security = security
        self._executor = ThreadPoolExecutor(4, "runstone-sender")
        self._waking = Waking(folder)
        self._discovery = Discovery([lease.folder for lease in leases], kin=kin)
        self._delivery = Delivery(folder, self._waking)
        self._uploads = Uploads(folder)
        self._destinations: dict[str, Destination] = {}
        self._syncing: dict[str, Syncing] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._busy_at = time.monotonic()
        self._told = self._busy_at + TELL_EVERY
        self._told_of = 0, 0

    @property
    def sessions(self) -> Collection[Session]:
        """Those that are worked on, which are not over."""
        return self._delivery.sessions.values()

    @property
    def waiting(self) -> int:
        """How many sessions wait for room."""
        return self._discovery.waiting

    @property
    def unusable(self) -> Mapping[str, str]:
        """Why sessions cannot be worked on, by their ids."""
        return self._discovery.unusable

    @property
    def sent(self) -> Sent:
        """What was acknowledged so far."""
        return self._delivery.sent

    def finding(self, session: Session) -> str | None:
        """Why a session's records do not get on, as far as that is the destination's fault."""
        return self._destinations[session.uri].finding()

    def trouble(self, session: Session) -> str | None:
        """Why a session's artifacts do not get on."""
        return self._uploads.trouble(session)

    @property
    def uploaded(self) -> int:
        """How many artifacts were settled so far."""
        return self._uploads.settled

    async def run(self, through: Callable[[], bool] | None = None) -> None:
        """Work until there is nothing to do, or until SIGTERM; then the leases are free.

        Args:
            through: asked after each round whether to leave; None: when there has been nothing to do for a
                while, and not before clients can know it.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        loop.set_exception_handler(_odd)
        house = asyncio.create_task(self._keep_house(), name="house")
        heartbeats = Heartbeats(self._delivery.sessions, self._executor)
        telling = asyncio.create_task(heartbeats.run(), name="heartbeats")
        try:
            began = -math.inf
            while not self._stopped:
                before, began = began, time.monotonic()
                self._adopt()
                for session in self._delivery.sessions.values():
                    self._uploads.look(session)
                size = self._delivery.round()
                self._end_what_is_drained()
                if not size:
                    listen = self._delivery.ready_to_read()
                    await self._waking.sleep(self._delivery.something_to_read, listen=listen)
                    await asyncio.sleep(pacing.GATHER)
                rest = pacing.apart(size, began - before)
                await self._waking.rest(rest - (time.monotonic() - began))
                if house.done():
                    house.result()
                if through() if through else self._bored():
                    break
        except FileNotFoundError:
            if not self._lease.void:
                raise
            log.warning(REMOVED)
        finally:
            house.cancel()
            telling.cancel()
            await asyncio.gather(house, telling, return_exceptions=True)
            await self._close()

    def stop(self) -> None:
        """Leave as soon as possible; what is not acknowledged is sent again by the next sender."""
        log.info("asked to stop")
        self._stopped = True
        self._waking.stir()

    def _adopt(self, *, surely: bool = False) -> None:
        for session in self._discovery.found(self._room, surely=surely):
            session.look()
            if self._address:
                session.uri = self._address(session)
            self._delivery.sessions[session.id] = session
            self._syncing[session.id] = Syncing(session.folder, session.acknowledged.segment)
            destination = self._destinations.get(session.uri)
            if destination is None:
                destination = self._destinations[session.uri] = Destination(
                    self._folder, session.uri, self._security, self._executor, self._waking.stir
                )
            destination.used(1)
        for session in self._delivery.sessions.values():
            self._attach(session)

    def _room(self, bound: Bound) -> int:
        """How many sessions more of dead processes may be adopted that are bound for there."""
        working = Counter(
            Bound(session.logged_for, session.bound_installation)
            for session in self._delivery.sessions.values()
            if not (session.alive or session.ended)
        )
        return max(ADOPTED_LEAST, ADOPTED_MOST // len(working.keys() | {bound})) - working[bound]

    def _attach(self, session: Session) -> None:
        link = self._destinations[session.uri].link
        if link is None or session.link is link:
            return
        self._delivery.discard(session)
        session.attach(link)

    async def _keep_house(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(PERIOD)
            if self._lease.void:
                log.warning(REMOVED)
                self._stopped = True
                self._waking.stir()
                return
            short = self._waking.take_short()
            for session in list(self._delivery.sessions.values()):
                try:
                    self._attend(session, short=short)
                except OSError as wrong:
                    log.warning("session %s: %s; it is tried again", session.id, wrong)
            self._say_who_is_stranded()
            self._say_what_was_sent()
            grown = [
                self._syncing[session.id]
                for session in self._delivery.sessions.values()
                if self._syncing[session.id].due(
                    session.tail.position,
                    more=session.tail.has_more(),
                    gone=not (session.alive or session.elsewhere),
                )
            ]
            if grown:
                await loop.run_in_executor(self._executor, _sync_all, grown)
            if gone := self._discovery.begin_removal(at_once=short):
                await loop.run_in_executor(self._executor, _delete_all, gone)

    def _attend(self, session: Session, *, short: bool) -> None:
        session.broken = False
        if session.alive:
            session.look()
            if not session.alive:
                self._waking.stir()
        session.remove_acknowledged(short=short)
        session.save()

    def _end_what_is_drained(self) -> None:
        for session in [s for s in self._delivery.sessions.values() if not s.alive]:
            if session.over:
                self._part_with(session)
            elif not (session.broken or session.ended or session.ending) and (
                session.drained and session.saved and session.link
            ):
                session.ending = True
                task = asyncio.create_task(end_session(session), name=f"end of {session.id}")
                self._ending.add(task)
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._ending.discard(task)
        self._waking.stir()

    def _say_what_was_sent(self) -> None:
        if time.monotonic() < self._told:
            return
        self._told = time.monotonic() + TELL_EVERY
        records, size = self.sent.records - self._told_of[0], self.sent.size - self._told_of[1]
        self._told_of = self.sent.records, self.sent.size
        if records:
            log.info(
                "sent %d records (%.1f MiB of the spool) in the last minute; %d sessions are served, %d wait",
                records, size / 2**20, len(self._delivery.sessions), self.waiting,
            )  # fmt: skip

    def _say_who_is_stranded(self) -> None:
        for destination in self._destinations.values():
            destination.files_wait(self._uploads.finding(destination.uri))
            if destination.link is None:
                continue
            here = destination.link.connect.installation_id
            elsewhere = {
                session.installation
                for session in self._delivery.sessions.values()
                if session.uri == destination.uri and session.installation not in {"", here}
            }
            destination.stranded(
                f"{destination.uri} is another installation now ({here}); what was logged for"
                f" {', '.join(sorted(elsewhere))} waits in the spool until that one answers there again"
                if elsewhere
                else None
            )

    def _part_with(self, session: Session) -> None:
        log.info("session %s is over", session.id)
        session.close()
        del self._delivery.sessions[session.id]
        del self._syncing[session.id]
        self._uploads.forget(session)
        self._destinations[session.uri].used(-1)
        self._discovery.over(session)

    def _idle(self) -> bool:
        return not self._discovery.waiting and all(s.over for s in self._delivery.sessions.values())

    def _bored(self) -> bool:
        """Whether there has been nothing to do for a while, and nothing has come up since clients know it."""
        if not self._idle():
            self._busy_at = time.monotonic()
            return False
        return time.monotonic() - self._busy_at > IDLE and self._leave()

    def _leave(self) -> bool:
        """Say so, look once more, and leave; False where something came in between."""
        self._lease.say("leaving")
        self._adopt(surely=True)
        for session in self._delivery.sessions.values():
            self._uploads.look(session)
        if self._idle():
            log.info("nothing to do: leaving")
            return True
        self._lease.say("running")
        return False

    async def _close(self) -> None:
        for lease in self._leases:
            if not lease.void:
                lease.say("leaving")
        await self._uploads.close()
        self._discovery.close()
        for task in self._ending:
            task.cancel()
        await asyncio.gather(*self._ending, return_exceptions=True)
        await asyncio.gather(*(destination.close() for destination in self._destinations.values()))
        for session in self._delivery.sessions.values():
            session.close()
        self._waking.close()
        for lease in self._leases:
            lease.release()
        # A thread may hang in a question to a server; it has nothing that must be finished.
        self._executor.shutdown(wait=False, cancel_futures=True)


def _odd(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What a retired producer's callbacks raise has no consequences: a line in the log, no trace."""
    log.info("%s: %r", context.get("message"), context.get("exception"))


def _sync_all(grown: list[Syncing]) -> None:
    for syncing in grown:
        try:
            syncing.sync()
        except FileNotFoundError:
            continue  # removed a moment ago
        except OSError as wrong:
            log.warning("a segment cannot be synced: %s", os.strerror(wrong.errno or 0))


def _delete_all(folders: list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
