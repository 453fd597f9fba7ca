"""Listens until SIGTERM or SIGINT, then stops within five seconds."""

import asyncio
import signal

from aiohttp import web

from runstone.exceptions import ServerError
from runstone_gateway.app import application
from runstone_gateway.configuration import Configuration
from runstone_gateway.listening import Runner


async def serve(configuration: Configuration, host: str, port: int) -> int:
    """Serve on *host*:*port* and return the exit code. Raises `ServerError` when the port is taken."""
    runner = Runner(application(configuration))
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as wrong:
            raise ServerError(
                f"cannot listen on {host}:{port}: {wrong.strerror}; choose another --port"
            ) from wrong
        print(f"runstone gateway: ready at http://{host}:{port}", flush=True)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()
    finally:
        await runner.cleanup()
    return 0
