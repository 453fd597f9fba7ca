"""Keeps the parts of one installation running.

Everything here runs in the main thread's event loop: the kernel ends children with the thread that started
them (see ``child``), and the main thread lives as long as ``up``. Each part has one task, its *watch*:

    start() ──► ready ──► died ──► (back-off) ──► started again ──► ready ──► …
                  └────────┴──────────┴────── stop(): the watches are cancelled first, then the children
                                              are ended, so that nobody starts what is being stopped

A part's first start must succeed, later ones are tried for ever. ``SIGCHLD`` wakes the watches; there is no
polling while all is well. No locks: a watch alone starts its part's children, and records each before the
next await.
"""

import asyncio
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from runstone_local import process_identity
from runstone_local.exceptions import CannotStartError
from runstone_local.restarts import Restarts
from runstone_local.state import PartState


class Part(Protocol):
    """What the supervisor needs of a part: ``KafkaNode``, ``PostgresServer``, ``Service``."""

    @property
    def name(self) -> str: ...

    @property
    def address(self) -> str | None: ...

    @property
    def log(self) -> Path: ...

    async def prepare(self) -> None: ...

    def start(self) -> "subprocess.Popen[bytes]": ...

    async def wait_ready(self, running: "subprocess.Popen[bytes]") -> None: ...

    async def stop(self, running: "subprocess.Popen[bytes]") -> None: ...


class Supervisor:
    """Starts parts, starts them again when they die, stops them in order.

    *say* gets a line for the user, *record* each part as it starts or dies.
    """

    def __init__(self, say: Callable[[str], None], record: Callable[[PartState], None]) -> None:
        self._say = say
        self._record = record
        self._children: dict[str, tuple[Part, subprocess.Popen[bytes]]] = {}
        self._watches: list[asyncio.Task[None]] = []
        self._some_child_ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._wake_watches)

    async def start(self, part: Part) -> None:
        """Start *part* and return when it is ready; from then on it is watched.

        Raises:
            CannotStartError: it could not be started.
        """
        began = time.monotonic()
        await part.prepare()
        running = self._launch(part)
        await part.wait_ready(running)
        self._say(f"{part.name:<9} ready {f'at {part.address} ' if part.address else ''}({_since(began)})")
        self._watches.append(asyncio.create_task(self._watch(part, running)))

    async def stop(self, order: Sequence[Sequence[str]]) -> None:
        """Stop all parts: the groups of *order* one after the other, the parts of a group together."""
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        for group in order:
            members = [self._children.pop(name) for name in group if name in self._children]
            await asyncio.gather(*(part.stop(running) for part, running in members))

    def _launch(self, part: Part) -> "subprocess.Popen[bytes]":
        running = part.start()
        self._children[part.name] = (part, running)
        self._record(PartState(part.name, part.address, running.pid, process_identity.started(running.pid)))
        return running

    async def _watch(self, part: Part, running: "subprocess.Popen[bytes]") -> None:
        restarts = Restarts()
        began = time.monotonic()
        while True:
            await self._ended(running)
            delay = restarts.delay_after_death(time.monotonic() - began)
            self._say(
                f"{part.name} {describe_end(running.returncode)}; starting it again in {delay:g} s "
                f"(its log is {part.log})"
            )
            self._record(PartState(part.name, part.address))
            await asyncio.sleep(delay)
            began = time.monotonic()
            try:
                await part.prepare()
                running = self._launch(part)
                await part.wait_ready(running)
                self._say(f"{part.name} is ready again ({_since(began)})")
            except (CannotStartError, OSError) as failed:
                self._say(str(failed))
                await part.stop(running)

    async def _ended(self, running: "subprocess.Popen[bytes]") -> None:
        while running.poll() is None:
            await self._some_child_ended.wait()

    def _wake_watches(self) -> None:
        self._some_child_ended.set()
        self._some_child_ended = asyncio.Event()


def describe_end(code: int) -> str:
    """How a process ended, by its exit code (negative: the signal's number), as the rest of a sentence."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.1f} s"
