"""Uploads the artifacts that clients left in the spool, then publishes their pointers.

One task a session looks for orders and keeps up to `ON_THE_WAY` of them on their way, each in a task of its
own; `AT_ONCE` of a destination move bytes at a time, in worker threads. For each::

    order found → stored and checked → pointer published under the sender's session → acknowledged
                → ``<id>.done`` written → content and order removed

Files of a session that have to do with one another (the same path again: the last one wins) go in the order
they were logged; others overtake. A fault that may pass is retried for ever with a back-off. What can never
be stored goes to ``rejected/``, and ``<id>.rejected`` takes the place of ``<id>.done``.

A sender that is killed leaves the order; the next one asks the store first what it has, and sends only what
is not there. In memory are names of orders, some at a time, and the blocks that are being moved.

What cannot be uploaded now is synced to the disk by a thread of its own, so that it survives the machine too.
"""

import asyncio
import contextlib
import heapq
import logging
import os
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from runstone.events.types import Artifact
from runstone.exceptions import RunstoneError
from runstone.sender.adoption import Session
from runstone.sender.connect import Connect
from runstone.sender.copying import Folder
from runstone.sender.publisher import PublisherClosed, RecordRefused
from runstone.sender.putting import Gateway
from runstone.sender.rejections import reject_upload
from runstone.sender.replacing import read_json, replace_json
from runstone.sender.storing import (
    Order,
    Stored,
    UploadRefused,
    check_content,
    parse_order,
    visible_root,
)
from runstone.spool.layout import MachineFolder

log = logging.getLogger(__name__)

AT_ONCE: Final = 4
ON_THE_WAY: Final = 64
"""Most of them wait for the broker's acknowledgement of their pointers."""

LISTED: Final = 1000
"""Orders whose names are taken from the folder at a time."""

LIST_AGAIN: Final = 0.2
SAVE_AGAIN: Final = 0.5
TOLD_AFTER: Final = 10.0
"""Seconds that files have waited before the user is told why."""

RETRY_LEAST: Final = 0.5
RETRY_MOST: Final = 30.0


class Uploads:
    """Runs on the sender's loop. ``settled``: how many orders were done or rejected so far."""

    def __init__(self, folder: MachineFolder) -> None:
        self.settled = 0
        self._folder = folder
        self._began = time.time()
        self._stores: dict[str, _Store] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._seen_ns: dict[str, int] = {}
        self._saving = _Saving()

    def look(self, session: Session) -> None:
        """Begin uploading what lies there. Costs one system call where nothing changed."""
        store = self._stores.get(session.uri)
        if session.link is None or (store is not None and store.trouble):
            self._saving.look(session)
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
        session.uploading = bool(_orders(session, 1, ()))
        if session.uploading:
            task = asyncio.create_task(self._run(session), name=f"uploads {session.id}")
            self._tasks[session.id] = task
            task.add_done_callback(lambda _task: self._tasks.pop(session.id, None))

    def trouble(self, session: Session) -> str | None:
        """Why the artifacts of a session wait; None where they move, or there are none."""
        store = self._stores.get(session.uri)
        return (store.trouble or None) if store and session.uploading else None

    def finding(self, uri: str) -> str | None:
        """A sentence for the user where files of a destination have been waiting for some time, else None."""
        store = self._stores.get(uri)
        if store is None or not store.trouble or time.monotonic() - store.since < TOLD_AFTER:
            return None
        return f"artifacts for {uri} wait in the spool: {store.trouble}"

    def forget(self, session: Session) -> None:
        """It is over."""
        self._seen_ns.pop(session.id, None)

    async def close(self) -> None:
        """Stop; what is half done begins again with the next sender."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for store in self._stores.values():
            store.close()
        self._saving.close()

    async def _run(self, session: Session) -> None:
        waiting: deque[str] = deque()
        flying: dict[str, _Upload] = {}
        try:
            while True:
                if not waiting:
                    waiting.extend(_orders(session, LISTED, flying))
                while waiting and len(flying) < ON_THE_WAY:
                    self._begin(session, waiting.popleft(), flying)
                if not flying:
                    break
                await asyncio.wait(
                    [upload.task for upload in flying.values()],
                    timeout=None if waiting else LIST_AGAIN,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for upload in [name for name, upload in flying.items() if upload.task.done()]:
                    del flying[upload]
                    self.settled += 1
        finally:
            tasks = [upload.task for upload in flying.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        session.uploading = False

    def _begin(self, session: Session, name: str, flying: "dict[str, _Upload]") -> None:
        found = read_json(session.folder.upload_json(name))
        order: Order | UploadRefused
        try:
            order = parse_order(found)
        except UploadRefused as never:
            order, ahead = never, []
        else:
            ahead = [other.task for other in flying.values() if other.collides(order)]
        store = self._stores.get(session.uri)
        if store is None:
            store = self._stores[session.uri] = _Store(session.uri)
        upload = _Upload(self._folder, session, store, name, found, order)
        upload.doubtful = _older(session.folder.upload_json(name), self._began)
        upload.task = asyncio.create_task(upload.run(ahead), name=f"upload {name}")
        flying[name] = upload


class _Saving:
    """Syncs orders that wait, and their content; used on the loop, works in one thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "runstone-save")
        self._begun: dict[str, tuple[int, float]] = {}
        self._saved: dict[str, set[str]] = {}
        self._busy: set[str] = set()

    def look(self, session: Session) -> None:
        """Sync what has come since; one system call where nothing has."""
        modified_ns, begun = self._begun.get(session.id, (0, 0.0))
        if session.id in self._busy or time.monotonic() - begun < SAVE_AGAIN:
            return
        try:
            found_ns = session.folder.uploads.stat().st_mtime_ns
        except FileNotFoundError:
            return
        if found_ns != modified_ns:
            self._begun[session.id] = found_ns, time.monotonic()
            self._busy.add(session.id)
            asyncio.get_running_loop().run_in_executor(self._thread, self._save, session)

    def _save(self, session: Session) -> None:
        known = self._saved.get(session.id, set())
        there: set[str] = set()
        try:
            for name in _orders(session, LISTED * LISTED, ()):
                if name not in known:
                    for path in (session.folder.upload_data(name), session.folder.upload_json(name)):
                        _sync(path)
                there.add(name)
            _sync(session.folder.uploads)
        except OSError as wrong:
            log.warning("artifacts of session %s cannot be synced: %s", session.id, wrong)
            self._begun.pop(session.id, None)
        self._saved[session.id] = there
        self._busy.discard(session.id)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


class _Store:
    """How files reach the store of one destination: its worker threads, and what they share.

    Attributes:
        trouble: why the last attempt failed; empty where it did not. since: when trouble began, monotonic.
    """

    def __init__(self, uri: str) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, "runstone-upload")
        self._gateway = Gateway(uri)
        self._folder: Folder | None = None
        self.trouble = ""
        self.since = 0.0

    async def put(self, order: Order, data: Path, connect: Connect, *, doubtful: bool) -> Stored:
        """Store *data*; raises as `Gateway.store` does."""
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, self._put, order, data, connect, doubtful
        )

    def _put(self, order: Order, data: Path, connect: Connect, doubtful: bool) -> Stored:
        check_content(order, data)
        root = visible_root(connect)
        if root is None:
            return self._gateway.store(order, data, doubtful=doubtful)
        folder = self._folder
        if folder is None or folder.root != root:
            folder = self._folder = Folder(root)
        return folder.store(order, data, doubtful=doubtful)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._gateway.close()


class _Upload:
    """One order on its way; *order* is why there is none where it cannot be understood.

    Attributes:
        doubtful: an attempt before, by whomever, may have stored it.
        task: brings it to its end, done or rejected.
    """

    task: "asyncio.Task[None]"

    def __init__(
        self,
        folder: MachineFolder,
        session: Session,
        store: _Store,
        name: str,
        found: dict[str, Any] | None,
        order: Order | UploadRefused,
    ) -> None:
        self.doubtful = False
        self._folder = folder
        self._session = session
        self._store = store
        self._name = name
        self._found = found
        self._order = order

    def collides(self, order: Order) -> bool:
        return isinstance(self._order, Order) and self._order.collides(order)

    async def run(self, ahead: "list[asyncio.Task[None]]") -> None:
        if ahead:
            await asyncio.wait(ahead)
        delay = RETRY_LEAST
        while True:
            try:
                await self._settle()
            except PublisherClosed:
                pass  # a link takes the place of the one before
            except (OSError, RunstoneError) as fault:
                self._say(f"artifact {self._name} waits: {fault}")
            except Exception:
                log.exception("artifact %s waits", self._name)  # a mistake of ours must not lose the file
            else:
                self._store.trouble = ""
                return
            self.doubtful = True
            await asyncio.sleep(delay)
            delay = min(RETRY_MOST, delay * 2)

    def _say(self, trouble: str) -> None:
        """Log a fault, unless it is what the last file waits for as well."""
        kind = trouble.partition(": ")[2]
        if kind != self._store.trouble:
            log.warning("%s", trouble)
        if not self._store.trouble:
            self._store.since = time.monotonic()
        self._store.trouble = kind

    async def _settle(self) -> None:
        """Whatever is raised may pass."""
        files = self._session.folder
        if not (files.upload_done(self._name).exists() or files.upload_rejected(self._name).is_file()):
            try:
                await self._upload()
            except (UploadRefused, RecordRefused) as never:
                reject_upload(self._folder, files, self._name, self._found, str(never))
        files.upload_data(self._name).unlink(missing_ok=True)
        files.upload_json(self._name).unlink(missing_ok=True)

    async def _upload(self) -> None:
        if isinstance(self._order, UploadRefused):
            raise self._order
        order, link = self._order, self._session.link
        if link is None:
            raise PublisherClosed("there is no link now")
        data = self._session.folder.upload_data(self._name)
        stored = await self._store.put(order, data, link.connect, doubtful=self.doubtful)
        pointer = Artifact(
            order.path, stored.uri, stored.size, stored.sha256, order.media_type, order.time_ms
        )
        seq, offset = link.say(order.run_id, pointer)
        await offset
        replace_json(self._session.folder.upload_done(self._name), {"session": link.session, "seq": seq})
        log.debug("artifact %s of run %s is at %s", order.path, order.run_id, stored.uri)


def _orders(session: Session, most: int, known: "dict[str, _Upload] | tuple[()]") -> list[str]:
    """The names of the first *most* orders that are not *known*, in the order they were given."""
    try:
        with os.scandir(session.folder.uploads) as found:
            names = (entry.name[:-5] for entry in found if entry.name.endswith(".json"))
            return heapq.nsmallest(most, (name for name in names if name not in known))
    except FileNotFoundError:
        return []


def _sync(path: Path) -> None:
    """Take a file or folder to the disk; one that has been uploaded meanwhile needs no more."""
    with contextlib.suppress(FileNotFoundError):
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _older(path: Path, began: float) -> bool:
    """Whether a file was there before that time, in seconds since 1970."""
    with contextlib.suppress(OSError):
        return path.stat().st_mtime < began
    return True
