"""How the sender sleeps: a flag that clients see in shared memory, and a FIFO they write a byte into.

The flag is set first and the spool looked at once more before sleeping, so a client either sees the flag or
its record is seen; should both fail, the re-check after `RECHECK` finds it. Everything on one event loop.
"""

import asyncio
import mmap
import os
from collections.abc import Callable
from typing import Final

from runstone.spool.layout import ASLEEP_SIZE, SHORT, MachineFolder

RECHECK: Final = 0.2
"""Seconds: the longest sleep, hence what a lost wake-up costs."""


class Waking:
    """The sender's end of ``asleep`` and ``wake``; `stir` ends a sleep from inside."""

    def __init__(self, folder: MachineFolder) -> None:
        descriptor = os.open(folder.asleep, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._asleep = mmap.mmap(descriptor, ASLEEP_SIZE)
        finally:
            os.close(descriptor)
        # For reading and writing, so that it never comes to an end when the last client closes its side.
        self._fifo = os.open(folder.wake, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._stirred = asyncio.Event()
        self._called = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._fifo, self._woken)

    def close(self) -> None:
        """Stop listening."""
        asyncio.get_running_loop().remove_reader(self._fifo)
        os.close(self._fifo)
        self._asleep[0] = 0
        self._asleep.close()

    def take_short(self) -> bool:
        """Whether a process found no room in the spool since this was asked last."""
        short = bool(self._asleep[SHORT])
        self._asleep[SHORT] = 0
        return short

    def stir(self) -> None:
        """End the current sleep, or the next one before it begins."""
        self._stirred.set()

    async def sleep(self, something_to_do: Callable[[], bool], *, listen: bool) -> None:
        """Sleep until the sender is woken, `RECHECK` at most; not at all if there is something to do.

        Args:
            something_to_do: asked once the flag is up.
            listen: let clients wake the sender; not while what they write could not be read anyway.
        """
        self._asleep[0] = listen
        try:
            if not something_to_do():
                async with asyncio.timeout(RECHECK):
                    await self._stirred.wait()
        except TimeoutError:
            pass
        finally:
            self._asleep[0] = 0
            self._stirred.clear()

    async def rest(self, seconds: float) -> None:
        """Let *seconds* go by, unless a client asks for the sender, as one does that waits for it."""
        self._called.clear()
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._called.wait()
        except TimeoutError:
            pass

    def _woken(self) -> None:
        try:
            os.read(self._fifo, 65536)
        except BlockingIOError:
            return
        self._stirred.set()
        self._called.set()
