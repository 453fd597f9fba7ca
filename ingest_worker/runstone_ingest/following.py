"""A worker that was told no generation: it carries on every one that ingests.

People run one kind of worker and never think of generations. So besides the live one it writes those that are
ready or retired, because both must stay so close to the topics that they can be swapped in; and one that is
building where the process of its replay has died. A replay that lives has a process of its own, so that
catching up takes no time from the live generation.

Who runs where: the generation that is live at the begin is written in this process, by a `Worker` in the same
event loop; each other one has a child process (``runstone worker --generation NAME``), so that neither memory
nor the interpreter's lock is shared with what people wait for. A child ends when its standard input does, so
it cannot outlive this process, whatever ends that. This task looks every two seconds what there is; the
connection is opened for each look, because it must work after anything.
"""

import asyncio
import os
import sys
import time
from typing import Any, Final

from runstone_ingest.back_off import POSTGRES_FAULTS, BackOff
from runstone_ingest.course import has_owner
from runstone_ingest.worker import Worker
from runstone_store import generations, pool
from runstone_store.exceptions import NotMigratedError

LOOK_SECONDS: Final = 2.0
ORPHANED_SECONDS: Final = 20.0
"""How long a generation that is building may be without a worker before it is taken on here."""

_LEAVE_SECONDS: Final = 4.0

_FAULTS: Final = (*POSTGRES_FAULTS, NotMigratedError)


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
        self._worker: Worker | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._orphaned: dict[str, float] = {}

    @property
    def generations(self) -> list[str]:
        """Those that are being written, in the order in which that began."""
        return list(self._tasks)

    def stop(self) -> None:
        """Ask all of it to end; what is being written is finished first."""
        self._stop.set()
        if self._worker is not None:
            self._worker.stop()

    async def run(self) -> None:
        """Work until `stop`.

        Raises:
            IngestError: the worker can never work as it is; the message says why and what to do.
        """
        try:
            while not self._stop.is_set():
                try:
                    wanted = await self._wanted()
                except _FAULTS as failed:
                    if self._tasks:
                        await self._pause()  # they say themselves what is wrong
                    else:
                        await self._back_off.wait(f"Postgres does not answer, trying again: {failed!r}")
                    continue
                self._back_off.healed()
                for name in wanted:
                    if name not in self._tasks and not self._stop.is_set():
                        self._begin(name)
                await self._pause()
        finally:
            self.stop()
            outcome = asyncio.gather(*self._tasks.values(), return_exceptions=True)
            try:
                await asyncio.shield(outcome)
            except asyncio.CancelledError:
                for task in self._tasks.values():
                    task.cancel()
                await outcome
                raise
        for task in self._tasks.values():
            task.result()

    def _begin(self, name: str) -> None:
        if self._worker is None:
            self._worker = Worker(self._bootstrap, self._dsn, self._prefix, self._lost_after, name)
            work = self._here(self._worker)
        else:
            work = self._beside(name)
        self._tasks[name] = asyncio.create_task(work, name=f"worker of {name}")

    async def _here(self, worker: Worker) -> None:
        try:
            await worker.run()
        finally:
            self._worker = None

    async def _beside(self, name: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "runstone.cli", "worker", "--generation", name, "--until-input-ends"),
            stdin=asyncio.subprocess.PIPE,
            env=os.environ
            | {
                "RUNSTONE_BOOTSTRAP_SERVERS": self._bootstrap,
                "RUNSTONE_POSTGRES_DSN": self._dsn,
                "RUNSTONE_TOPIC_PREFIX": self._prefix,
            },
        )
        stopping = asyncio.create_task(self._stop.wait())
        ended = asyncio.create_task(process.wait())
        try:
            await asyncio.wait([ended, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            assert process.stdin is not None
            process.stdin.close()
            try:
                async with asyncio.timeout(_LEAVE_SECONDS):
                    await asyncio.shield(ended)
            except TimeoutError:
                process.kill()  # a transaction that was under way is not there, and delivered again
                await ended
        if process.returncode and not self._stop.is_set():
            await self._back_off.wait(f"the worker of {name} ended with code {process.returncode}, again")

    async def _pause(self) -> None:
        """Until the next look; what ends by itself is forgotten, a worker that fails here ends all of it."""
        names = {task: name for name, task in self._tasks.items()}
        stopping = asyncio.create_task(self._stop.wait())
        try:
            watched: list[asyncio.Task[Any]] = [*names, stopping]
            done, _ = await asyncio.wait(watched, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if self._stop.is_set():
            return
        for task, name in names.items():
            if task in done:
                del self._tasks[name]
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
