"""Listens until SIGTERM or SIGINT, then stops within five seconds."""

import asyncio
import signal
from typing import Final

from aiohttp import web

from runstone.exceptions import ServerError
from runstone_query.app import application
from runstone_query.configuration import Configuration

LINE_MOST: Final = 65_536
"""Bytes of a request's line, and of a header: filters and lists of run ids stand in addresses."""


async def serve(configuration: Configuration, host: str, port: int) -> int:
    """Serve on *host*:*port* (0: any free port) and return the exit code.

    Raises:
        ServerError: the port is taken or the address is not this machine's.
    """
    runner = web.AppRunner(
        application(configuration),
        access_log=None,
        shutdown_timeout=2,
        max_line_size=LINE_MOST,
        max_field_size=LINE_MOST,
        auto_decompress=False,  # compressed bodies are refused by `inputs.body`, as a problem
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as wrong:
            raise ServerError(
                f"cannot listen on {host}:{port}: {wrong.strerror}; choose another --port"
            ) from wrong
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        shown = f"[{host}]" if ":" in host else host
        print(f"runstone api: ready at http://{shown}:{runner.addresses[0][1]}", flush=True)
        await stop.wait()
    finally:
        await runner.cleanup()
    return 0
