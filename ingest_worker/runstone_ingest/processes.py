"""``runstone worker --workers N``: N worker processes, one parent that starts them and does nothing else.

Processes, because decoding and projecting hold Python's lock; the partitions are shared out by Kafka's group,
as among workers on several machines. Who runs where: the parent's one event loop has a task per child, which
starts it, hands its lines on and starts another when it has died, after a back-off. A child that ends well
unasked has nothing left to do, and is not replaced.

A stop is SIGTERM to each child; what has not ended by then is killed. The kernel closes a child's standard
input when the parent dies, whatever kills it, and the child stops at that: none is left behind.
"""

import asyncio
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from typing import Any, Final

from runstone_ingest.back_off import BackOff

UNTIL_INPUT_ENDS: Final = "--until-input-ends"
"""The children's option: stop when standard input is closed."""

STOP_SECONDS: Final = 4.5
LIVED_SECONDS: Final = 60.0
"""A child that has lived for so long is replaced at once."""

_READY: Final = b"runstone worker: ready"


class Processes:
    """Runs *count* workers with the command line's other *arguments*; `run` it once."""

    def __init__(self, count: int, arguments: Sequence[str]) -> None:
        """Nothing is started yet."""
        self._count = count
        self._arguments = arguments
        self._stop = asyncio.Event()
        self._ready: set[int] = set()
        self._children: dict[int, Process] = {}

    def stop(self) -> None:
        """Ask all of them to end."""
        self._stop.set()
        for child in self._children.values():
            _signal(child, signal.SIGTERM)

    async def run(self) -> None:
        """Work until `stop`, or until no worker has anything left to do."""
        tasks = [asyncio.create_task(self._keep(number)) for number in range(self._count)]
        everything = asyncio.gather(*tasks)
        stopping = asyncio.create_task(self._stop.wait())
        watched: list[asyncio.Future[Any]] = [everything, stopping]
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await asyncio.shield(everything)
        except TimeoutError:
            for child in self._children.values():
                _signal(child, signal.SIGKILL)
            await everything

    async def _keep(self, number: int) -> None:
        back_off = BackOff(self._stop)
        while not self._stop.is_set():
            began = time.monotonic()
            code = await self._live(number)
            if code == 0 or self._stop.is_set():
                return
            if time.monotonic() - began > LIVED_SECONDS:
                back_off.healed()
            await back_off.wait(f"process {number + 1} has ended with exit code {code}, starting another")

    async def _live(self, number: int) -> int:
        """Run one child to its end; its exit code."""
        command = (sys.executable, "-m", "runstone.cli", "worker", UNTIL_INPUT_ENDS, *self._arguments)
        child = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
        self._children[number] = child
        if self._stop.is_set():
            _signal(child, signal.SIGTERM)
        assert child.stdout is not None, "it was asked for"
        async for line in child.stdout:
            if line.startswith(_READY):
                self._say_ready(number)
            else:
                sys.stdout.write(line.decode(errors="replace"))
                sys.stdout.flush()
        code = await child.wait()
        del self._children[number]
        return code

    def _say_ready(self, number: int) -> None:
        if number in self._ready:
            return
        self._ready.add(number)
        if len(self._ready) == self._count:
            print(f"{_READY.decode()}, {self._count} processes", flush=True)


def _signal(child: Process, number: signal.Signals) -> None:
    try:
        child.send_signal(number)
    except ProcessLookupError:
        pass  # it has ended
