"""Where a session's records go: one destination per tracking URI, one link to the installation behind it.

A task per destination asks the server (in a worker thread, because it may hang) and keeps the answer in
``destinations/<hash>.json``, which serves while the server is away: brokers may be there all the same.

::

    asking ──answered──► linked ──Kafka in trouble──► asking again, every few seconds: addresses may change
      │  ▲                  │
      │  └── back-off ◄─────┤ answered with another installation id: a new link; sessions that have sent
      │                     │ something to the old installation wait until it answers here again
      └── nothing answers, but an answer is remembered: linked by that, and asking goes on

A finding is a sentence for the user: clients read it from the same file and say it once.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any, Final

from runstone.exceptions import ServerError
from runstone.sender.connect import Connect, WrongServerError, ask, parse
from runstone.sender.detour import Detour
from runstone.sender.link import Link
from runstone.sender.publisher import Publisher
from runstone.sender.replacing import read_json, replace_json
from runstone.spool.layout import MachineFolder

log = logging.getLogger(__name__)

RETRY_LEAST: Final = 0.25
RETRY_MOST: Final = 5.0
ASK_IN_TROUBLE: Final = 2.0
ASK_AGAIN: Final = 15.0
"""Seconds between questions: while nobody answers (growing), while Kafka does not, while all is well."""


def leave_finding(
    folder: MachineFolder,
    uri: str,
    finding: str | None,
    connect: Any = None,
    cluster_id: str | None = None,
    *,
    answered: bool = False,
) -> None:
    """Write what clients of *uri* are told; what is not given about its server stays as it was."""
    path = folder.destination(uri)
    before = read_json(path) or {}
    now_ms = time.time_ns() // 1_000_000
    found = {
        "uri": uri,
        "connect": connect or before.get("connect"),
        "cluster_id": cluster_id or before.get("cluster_id"),
        "finding": finding,
        "checked_ms": now_ms,
        "answered_ms": now_ms if answered else before.get("answered_ms"),
    }
    try:
        replace_json(path, found)
    except OSError as wrong:
        log.warning("%s cannot be written: %s", path, wrong)


class Destination:
    """Runs on the sender's loop.

    Attributes:
        uri: the tracking URI, as clients were given it.
        link: None as long as nobody has ever answered.
        users: how many sessions have it as their destination; without any, nobody is asked.
    """

    def __init__(
        self,
        folder: MachineFolder,
        uri: str,
        security: Mapping[str, Any],
        executor: Executor,
        stir: Callable[[], None],
    ) -> None:
        self.uri = uri
        self.link: Link | None = None
        self.users = 0
        self._folder = folder
        self._security = security
        self._executor = executor
        self._stir = stir
        self._again = asyncio.Event()
        self._silence: str | None = None
        self._trouble: str | None = None
        self._stranded: str | None = None
        self._files_wait: str | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._cluster_id: str | None = None
        self._remembered = self._recall()
        self._task = asyncio.create_task(self._run(), name=f"destination {uri}")

    async def close(self) -> None:
        """Stop asking and publishing."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self.link:
            await self.link.publisher.close()
        if self._closing:
            await asyncio.wait(self._closing)

    def used(self, by: int) -> None:
        """Count sessions in (1) and out (-1)."""
        self.users += by
        self._again.set()

    def stranded(self, finding: str | None) -> None:
        """Say that sessions wait for another installation than the one that answers; None takes it back."""
        if finding != self._stranded:
            self._stranded = finding
            self._write()

    def files_wait(self, finding: str | None) -> None:
        """Say that files cannot be uploaded; None takes it back."""
        if finding != self._files_wait:
            self._files_wait = finding
            self._write()

    async def _run(self) -> None:
        delay = RETRY_LEAST
        loop = asyncio.get_running_loop()
        while True:
            while not self.users:
                self._again.clear()
                await self._again.wait()
            try:
                found = await loop.run_in_executor(self._executor, ask, self.uri)
            except ServerError as wrong:
                if str(wrong) != self._silence:
                    log.warning("%s", wrong)
                self._silence = str(wrong)
                if self.link is None and self._remembered and not isinstance(wrong, WrongServerError):
                    self._use(self._remembered, self._cluster_id)
                delay = min(RETRY_MOST, delay * 2)
            else:
                self._silence = None
                self._remembered = found
                self._use(found)
                delay = RETRY_LEAST
            self._write()
            calm = self._silence is None and self._trouble is None
            self._again.clear()
            try:
                async with asyncio.timeout(ASK_AGAIN if calm else delay if self._silence else ASK_IN_TROUBLE):
                    await self._again.wait()
            except TimeoutError:
                pass

    def _use(self, found: Connect, cluster_id: str | None = None) -> None:
        link = self.link
        if link and link.connect.installation_id == found.installation_id:
            link.connect = found
            link.publisher.retarget(found.bootstrap_servers)
            link.publisher.trust()
            return
        if link:
            log.warning(
                "%s is now installation %s, it was %s", self.uri, found.installation_id,
                link.connect.installation_id,
            )  # fmt: skip
            closing = asyncio.create_task(link.publisher.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        log.info(
            "%s is installation %s, Kafka at %s", self.uri, found.installation_id, found.bootstrap_servers
        )
        publisher = Publisher(
            found.bootstrap_servers,
            self._security,
            self._on_trouble,
            cluster_id=cluster_id,
            detour=Detour(self.uri, found.installation_id),
        )
        self.link = Link(found, publisher)
        self._trouble = None
        self._stir()

    def _on_trouble(self, trouble: str | None) -> None:
        began = trouble is not None and self._trouble is None
        self._trouble = trouble
        self._write()
        if began:
            self._again.set()

    def finding(self) -> str | None:
        """A sentence for the user where something is wrong, else None."""
        if self._stranded:
            return self._stranded
        if self._silence and (self.link is None or self._trouble):
            return self._silence
        if self._trouble:
            return f"{self.uri} answers, but {self._trouble}; everything logged waits in the spool"
        return self._files_wait

    def _recall(self) -> Connect | None:
        found = read_json(self._folder.destination(self.uri))
        self._cluster_id = (found or {}).get("cluster_id")
        try:
            return parse(self.uri, found["connect"]) if found and found.get("connect") else None
        except ServerError:
            return None

    def _write(self) -> None:
        connect = self._remembered.to_json() if self._remembered else None
        if self.link and self.link.publisher.cluster_id:
            self._cluster_id = self.link.publisher.cluster_id
        answered = self._silence is None and connect is not None
        leave_finding(self._folder, self.uri, self.finding(), connect, self._cluster_id, answered=answered)
