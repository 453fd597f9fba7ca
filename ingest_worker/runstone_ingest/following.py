"""A worker that was told no generation: it carries on every one that ingests.

People run one kind of worker and never think of generations. So besides the live one it writes those that are
ready or retired, because both must stay so close to the topics that they can be swapped in; and one that is
building where the process of its replay has died. A replay that lives has a process of its own, so that
catching up takes no time from the live generation.

Who runs where: one event loop; a task and a `Worker` per generation, which share nothing, and this one, which
looks every two seconds what there is. The connection is opened for each look: it must work after anything.
"""

import asyncio
import time
from typing import Any, Final

import asyncpg

from runstone_ingest.back_off import BackOff
from runstone_ingest.course import has_owner
from runstone_ingest.worker import Worker
from runstone_store import generations, pool
from runstone_store.exceptions import NotMigratedError

LOOK_SECONDS: Final = 2.0
ORPHANED_SECONDS: Final = 20.0
"""How long a generation that is building may be without a worker before it is taken on here."""

_FAULTS: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, NotMigratedError)


class Following:
    """The worker of all generations; `run` it once."""

    def __init__(self, bootstrap: str, dsn: str, prefix: str, lost_after: float | None = None) -> None:
        """As with `Worker`."""
        self._bootstrap = bootstrap
        self._dsn = dsn
        self._prefix = prefix
        self._lost_after = lost_after
        self._stop = asyncio.Event()
        self._back_off = BackOff(self._stop)
        self._workers: dict[str, tuple[Worker, asyncio.Task[None]]] = {}
        self._orphaned: dict[str, float] = {}

    def stop(self) -> None:
        """Ask all of it to end; what is being written is finished first."""
        self._stop.set()
        for worker, _task in self._workers.values():
            worker.stop()

    async def run(self) -> None:
        """Work until `stop`.

        Raises:
            IngestError: a worker can never work as it is; the message says why and what to do.
        """
        try:
            while not self._stop.is_set():
                try:
                    wanted = await self._wanted()
                except _FAULTS as failed:
                    if self._workers:
                        await self._pause()  # they say themselves what is wrong
                    else:
                        await self._back_off.wait(f"Postgres does not answer, trying again: {failed!r}")
                    continue
                self._back_off.healed()
                for name in wanted:
                    self._begin(name)
                await self._pause()
        finally:
            self.stop()
            tasks = [task for _worker, task in self._workers.values()]
            outcome = asyncio.gather(*tasks, return_exceptions=True)
            try:
                await asyncio.shield(outcome)
            except asyncio.CancelledError:
                for task in tasks:
                    task.cancel()
                await outcome
                raise
        for task in tasks:
            task.result()

    def _begin(self, name: str) -> None:
        if name not in self._workers and not self._stop.is_set():
            worker = Worker(self._bootstrap, self._dsn, self._prefix, self._lost_after, name)
            self._workers[name] = worker, asyncio.create_task(worker.run(), name=f"worker of {name}")

    async def _pause(self) -> None:
        """Until the next look; a worker that ends by itself is forgotten, one that fails ends this one."""
        tasks = {task: name for name, (_worker, task) in self._workers.items()}
        stopping = asyncio.create_task(self._stop.wait())
        try:
            watched: list[asyncio.Task[Any]] = [*tasks, stopping]
            done, _ = await asyncio.wait(watched, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if self._stop.is_set():
            return
        for task, name in tasks.items():
            if task in done:
                del self._workers[name]
                task.result()

    async def _wanted(self) -> list[str]:
        """The generations that are to be written here, the live one first."""
        connection = await pool.connect_writer(self._dsn, "runstone worker, generations")
        try:
            found = await generations.listed(connection)
            building = [one.name for one in found if one.state == "building"]
            orphans = [name for name in building if await self._is_orphan(connection, name)]
        finally:
            connection.terminate()
        ours = [one for one in found if one.is_live or one.state in {"ready", "live", "retired"}]
        return [one.name for one in sorted(ours, key=lambda one: not one.is_live)] + orphans

    async def _is_orphan(self, connection: Any, name: str) -> bool:
        """Whether nobody has written the generation *name* for a while."""
        if await has_owner(connection, name):
            self._orphaned.pop(name, None)
            return False
        since = self._orphaned.setdefault(name, time.monotonic())
        return time.monotonic() - since >= ORPHANED_SECONDS
