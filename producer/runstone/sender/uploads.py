"""Uploads the artifacts that clients left in the spool, then publishes their pointers.

One task per session with something to upload, because a session's files go in the order they were logged
(the same path again: the last one wins); `AT_ONCE` of them move bytes at a time, in worker threads. For each:

    order found → stored and checked → pointer published under the sender's session → acknowledged
                → ``<id>.done`` written → order and content removed

A fault that may pass is retried for ever with a back-off. What can never be stored goes to ``rejected/``, and
``<id>.rejected`` takes the place of ``<id>.done``.
"""

import asyncio
import logging
import time
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Final

from runstone.events.types import Artifact
from runstone.exceptions import RunstoneError
from runstone.sender.adoption import Session
from runstone.sender.publisher import PublisherClosed, RecordRefused
from runstone.sender.rejections import reject_upload
from runstone.sender.replacing import read_json, replace_json
from runstone.sender.storing import Order, UploadRefused, parse_order, store
from runstone.spool.layout import MachineFolder

log = logging.getLogger(__name__)

AT_ONCE: Final = 2
RETRY_LEAST: Final = 0.5
RETRY_MOST: Final = 30.0


class Uploads:
    """Runs on the sender's loop."""

    def __init__(self, folder: MachineFolder, executor: Executor) -> None:
        self._folder = folder
        self._executor = executor
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._seen_ns: dict[str, int] = {}

    def look(self, session: Session) -> None:
        """Begin uploading what lies there. Costs one system call where nothing changed."""
        if session.id in self._tasks or session.link is None:
            return
        try:
            modified = session.folder.uploads.stat().st_mtime_ns
        except FileNotFoundError:
            return
        recent = time.time_ns() - modified < 1_000_000_000  # a clock tick may hold two changes
        if modified == self._seen_ns.get(session.id) and not recent and not session.uploading:
            return
        self._seen_ns[session.id] = modified
        session.uploading = any(session.folder.uploads.glob("*.json"))
        if session.uploading:
            task = asyncio.create_task(self._run(session), name=f"uploads {session.id}")
            self._tasks[session.id] = task
            task.add_done_callback(lambda _task: self._tasks.pop(session.id, None))

    async def close(self) -> None:
        """Stop; what is half done begins again with the next sender."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, session: Session) -> None:
        delay = RETRY_LEAST
        while waiting := _waiting(session):
            for path, found in waiting:
                if session.link is None:
                    return
                try:
                    await self._settle(session, path.stem, found)
                    delay = RETRY_LEAST
                except PublisherClosed:
                    return
                except (OSError, RunstoneError) as fault:
                    log.warning("artifact %s waits: %s", path.stem, fault)
                    await asyncio.sleep(delay)
                    delay = min(RETRY_MOST, delay * 2)
                    break
        session.uploading = False

    async def _settle(self, session: Session, upload: str, found: dict[str, Any] | None) -> None:
        """Bring an upload to its end, done or rejected; whatever else is raised may pass."""
        try:
            async with self._slots:
                await self._upload(session, upload, parse_order(found))
        except (UploadRefused, RecordRefused) as never:
            reject_upload(self._folder, session.folder, upload, found, str(never))
        _remove(session, upload)

    async def _upload(self, session: Session, upload: str, order: Order) -> None:
        link = session.link
        assert link is not None
        done = session.folder.upload_done(upload)
        if not done.exists():
            stored = await asyncio.get_running_loop().run_in_executor(
                self._executor,
                store,
                order,
                session.folder.upload_data(upload),
                session.uri,
                link.connect,
            )
            pointer = Artifact(
                order.path, stored.uri, stored.size, stored.sha256, order.media_type, order.time_ms
            )
            seq, offset = link.say(order.run_id, pointer)
            await offset
            replace_json(done, {"session": link.session, "seq": seq})
            log.info("artifact %s of run %s is at %s", order.path, order.run_id, stored.uri)


def _waiting(session: Session) -> list[tuple[Path, dict[str, Any] | None]]:
    """The orders, in the order they were given."""
    return [(path, read_json(path)) for path in sorted(session.folder.uploads.glob("*.json"))]


def _remove(session: Session, upload: str) -> None:
    session.folder.upload_json(upload).unlink(missing_ok=True)
    session.folder.upload_data(upload).unlink(missing_ok=True)
