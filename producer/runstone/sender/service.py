"""The sender's loop: what is done when, and when the sender leaves.

One task makes rounds (find sessions, look for uploads, deliver, sleep), one keeps house twice a second
(liveness, syncing, removal of what is over, idleness), one tells gateways which sessions live. Blocking work
goes to a few worker threads.
"""

import asyncio
import logging
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from runstone.sender.adoption import GRACE, Adoption, Session
from runstone.sender.delivery import Delivery
from runstone.sender.destinations import Destination
from runstone.sender.heard import Heartbeats
from runstone.sender.lease import Lease
from runstone.sender.liveness import end_session
from runstone.sender.syncing import PERIOD, Syncing
from runstone.sender.tail import SLAB_MOST
from runstone.sender.uploads import Uploads
from runstone.sender.waking import Waking
from runstone.spool.layout import MachineFolder

log = logging.getLogger(__name__)

IDLE: Final = 3.0
"""Seconds without a session or anything to send after which the sender leaves."""

ROUND_LEAST: Final = 0.005
"""Seconds between rounds, unless there is a backlog: the next one finds more, and nobody need wake us."""

REMOVED: Final = "the spool was removed: there is nothing left to send"


class Service:
    """Everything that runs while the lease is held."""

    def __init__(self, folder: MachineFolder, lease: Lease, security: dict[str, Any]) -> None:
        """To be made on the loop."""
        self._folder = folder
        self._lease = lease
        self._security = security
        self._executor = ThreadPoolExecutor(4, "runstone-sender")
        self._waking = Waking(folder)
        self._adoption = Adoption(folder)
        self._delivery = Delivery(folder, self._waking)
        self._uploads = Uploads(folder)
        self._destinations: dict[str, Destination] = {}
        self._syncing: dict[str, Syncing] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._busy_at = time.monotonic()

    async def run(self) -> None:
        """Work until there is nothing to do, or until SIGTERM; then the lease is free."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop)
        loop.set_exception_handler(_odd)
        house = asyncio.create_task(self._keep_house(), name="house")
        heartbeats = Heartbeats(self._delivery.sessions, self._executor)
        telling = asyncio.create_task(heartbeats.run(), name="heartbeats")
        try:
            while not self._stopped:
                began = time.monotonic()
                self._adopt()
                for session in self._delivery.sessions.values():
                    self._uploads.look(session)
                size = self._delivery.round()
                if not size:
                    listen = self._delivery.ready_to_read()
                    await self._waking.sleep(self._delivery.something_to_read, listen=listen)
                backlog = size >= SLAB_MOST // 2
                await asyncio.sleep(0 if backlog else ROUND_LEAST - (time.monotonic() - began))
                if house.done():
                    house.result()
                if not self._idle():
                    self._busy_at = time.monotonic()
                elif time.monotonic() - self._busy_at > IDLE and self._leave():
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

    def _stop(self) -> None:
        log.info("asked to stop")
        self._stopped = True
        self._waking.stir()

    def _adopt(self, *, surely: bool = False) -> None:
        for session in self._adoption.found(surely=surely):
            session.look()
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

    def _attend(self, session: Session, *, short: bool) -> None:
        session.broken = False
        if session.alive:
            session.look()
            if not session.alive:
                self._waking.stir()
        session.remove_acknowledged(short=short)
        session.save()
        if session.drained and not session.ended and not session.ending and session.link:
            session.ending = True
            task = asyncio.create_task(end_session(session), name=f"end of {session.id}")
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        if self._over(session) and session.quiet_seconds > GRACE:
            self._remove(session)

    def _say_who_is_stranded(self) -> None:
        for destination in self._destinations.values():
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

    def _over(self, session: Session) -> bool:
        return session.ended and not session.uploading

    def _remove(self, session: Session) -> None:
        log.info("session %s is over", session.id)
        try:
            session.remove()
        except OSError as wrong:
            log.warning("session %s cannot be removed: %s", session.id, wrong)
        del self._delivery.sessions[session.id]
        del self._syncing[session.id]
        self._adoption.forget(session.id)
        self._destinations[session.uri].used(-1)

    def _idle(self) -> bool:
        return all(self._over(session) for session in self._delivery.sessions.values())

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
        if not self._lease.void:
            self._lease.say("leaving")
        await self._uploads.close()
        self._adoption.close()
        for task in self._ending:
            task.cancel()
        await asyncio.gather(*self._ending, return_exceptions=True)
        await asyncio.gather(*(destination.close() for destination in self._destinations.values()))
        for session in self._delivery.sessions.values():
            session.close()
        self._waking.close()
        self._lease.release()
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
