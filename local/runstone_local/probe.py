"""Whether somebody answers at an address, asked in each one's own language and without credentials."""

import asyncio
import os
import socket
import struct
import urllib.parse
from typing import Final

CONNECT_PATIENCE: Final = 5.0
"""Seconds to wait for an answer."""

_KAFKA_API_VERSIONS: Final = struct.pack(">ihhih", 10, 18, 0, 7, -1)
"""Kafka's simplest request: size, api key, version, correlation id 7, no client id."""

_POSTGRES_SSL_REQUEST: Final = struct.pack(">ii", 8, 80877103)
"""What a Postgres server answers with one letter before it asks who we are."""


async def connect(host: str, port: int) -> str | None:
    """None when something at this address accepts connections, else why not."""
    try:
        async with asyncio.timeout(CONNECT_PATIENCE):
            _, writer = await asyncio.open_connection(host, port)
    except OSError as failed:
        return reason(failed)
    writer.close()
    return None


async def kafka(host: str, port: int) -> bool:
    """Whether a Kafka broker answers at this address, which must be one without encryption."""
    answer = await _ask(host, port, _KAFKA_API_VERSIONS, 10)
    if answer is None:
        return False
    _size, correlation, error = struct.unpack(">iih", answer)
    return bool(correlation == 7 and error == 0)


async def postgres(host: str, port: int) -> bool:
    """Whether a Postgres server answers at this address."""
    return await _ask(host, port, _POSTGRES_SSL_REQUEST, 1) in {b"S", b"N"}


async def _ask(host: str, port: int, request: bytes, size: int) -> bytes | None:
    try:
        async with asyncio.timeout(CONNECT_PATIENCE):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(request)
                return await reader.readexactly(size)
            finally:
                writer.close()
    except (OSError, asyncio.IncompleteReadError):
        return None


def reason(failed: Exception) -> str:
    """Why a connection failed, in a few words."""
    if isinstance(failed, TimeoutError):
        return f"no answer within {CONNECT_PATIENCE:g} s"
    if isinstance(failed, OSError) and failed.errno and not isinstance(failed, socket.gaierror):
        return os.strerror(failed.errno).lower()  # asyncio's own text repeats the address instead
    return str(failed) or type(failed).__name__


async def get(url: str, patience: float = CONNECT_PATIENCE) -> tuple[int, bytes]:
    """The status and the body that *url* answers; status 0 where nobody answers within *patience* seconds."""
    parts = urllib.parse.urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    request = f"GET {path} HTTP/1.0\r\nHost: {parts.netloc}\r\nAccept: application/json\r\n\r\n"
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            try:
                writer.write(request.encode())
                head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
            finally:
                writer.close()
    except OSError:
        return 0, b""
    fields = head.split(b" ", 2)
    return (int(fields[1]), body) if len(fields) == 3 and fields[1].isdigit() else (0, b"")
