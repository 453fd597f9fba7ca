"""Bytes of a file go to a client straight from the page cache: neither Python nor the loop copies them.

Runs on the gateway's loop, when the loop has nothing more to send on that connection. A thread calls
``sendfile`` on a descriptor of its own of the same socket, which never blocks on the client: where the socket
is full the loop says when it has room again. The descriptor is closed only when no thread uses it.
"""

import asyncio
import os
from typing import Final

from runstone.events.limits import MIB
from runstone_gateway.stores.store import StoreAwayError

_MOST: Final = 4 * MIB
"""Bytes asked for at once: more than a socket takes, and a thread's turn on a cold disk stays short."""


async def send_from_file(transport: asyncio.Transport, file: int, first: int, length: int) -> None:
    """Send *length* bytes of the open *file* from *first*.

    Raises:
        ConnectionError: the client has gone.
        StoreAwayError: the file has become shorter.
    """
    if transport.is_closing():
        raise ConnectionResetError("the client has gone")
    socket = os.dup(transport.get_extra_info("socket").fileno())
    try:
        while length:
            sent = await _sent(socket, file, first, min(length, _MOST))
            first += sent
            length -= sent
    finally:
        os.close(socket)


async def _sent(socket: int, file: int, first: int, length: int) -> int:
    """How many of the bytes the socket took, at least one."""
    loop = asyncio.get_running_loop()
    while True:
        sending = loop.run_in_executor(None, os.sendfile, socket, file, first, length)
        try:
            sent = await asyncio.shield(sending)
        except BlockingIOError:
            await _room(loop, socket)
            continue
        finally:
            if not sending.done():  # this task is cancelled, and the thread still uses the socket
                await asyncio.wait([sending])
        if not sent:
            raise StoreAwayError("the file became shorter while it was read")
        return sent


async def _room(loop: asyncio.AbstractEventLoop, socket: int) -> None:
    """Return when the socket takes bytes, or has failed."""
    found = asyncio.Event()
    loop.add_writer(socket, found.set)
    try:
        await found.wait()
    finally:
        loop.remove_writer(socket)
