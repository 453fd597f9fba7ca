"""Sends a file of the artifact store, or one range of it, so that no browser ever runs it."""

import asyncio
import re
import unicodedata
from typing import Final
from urllib.parse import quote

from aiohttp import web

from runstone_gateway.media_types import media_type_of
from runstone_gateway.sendfile import send_from_file
from runstone_gateway.stores.store import READ, Opened

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_ATTRIBUTE: Final = "!#$&+-.^_`|~"
"""What may stand as it is in a header's value (RFC 9110, 5.6.2), and encoded (RFC 8187, 3.2.1)."""

_RANGE: Final = re.compile(r"bytes=\s*(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))\s*")


def headers_of(path: str) -> dict[str, str]:
    """What is said of the file at *path*: saved, not shown; unguessed; in a sandbox if shown."""
    return {
        "Content-Type": media_type_of(path),
        "Content-Disposition": disposition(path.rpartition("/")[2]),
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Accept-Ranges": "bytes",
    }


def disposition(name: str) -> str:
    """The header that has *name* saved under it; what is not ASCII stands encoded behind an approximation."""
    if name.isascii():
        return f"attachment; filename={_token_or_quoted(name)}"
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() or "download"
    encoded = quote(name.encode(errors="replace"), safe=_ATTRIBUTE)
    return f"attachment; filename={_token_or_quoted(plain)}; filename*=UTF-8''{encoded}"


def _token_or_quoted(name: str) -> str:
    if _TOKEN.fullmatch(name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


async def send(request: web.Request, opened: Opened, path: str) -> web.StreamResponse:
    """Answer *request* with the file; 206 with the one range that is asked for, 416 where it has none."""
    headers = headers_of(path)
    if opened.tag:
        headers["ETag"] = opened.tag
    first, length, status = 0, opened.size, 200
    match = _RANGE.fullmatch(request.headers.get("Range", ""))
    backwards = match is not None and match[1] and match[2] and int(match[2]) < int(match[1])
    if match is not None and not backwards and request.headers.get("If-Range", opened.tag) == opened.tag:
        wanted = _range(match, opened.size)
        if wanted is None:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{opened.size}"})
        first, length = wanted
        status = 206
        headers["Content-Range"] = f"bytes {first}-{first + length - 1}/{opened.size}"
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = length
    await response.prepare(request)
    if request.method != "HEAD" and length:
        try:
            await _send_body(request, response, opened, first, length)
        except (Exception, asyncio.CancelledError):
            # the promised length is not kept: that must break the connection, not end an answer
            if request.transport is not None:
                request.transport.abort()
            raise
    await response.write_eof()
    return response


async def _send_body(
    request: web.Request, response: web.StreamResponse, opened: Opened, first: int, length: int
) -> None:
    transport, file = request.transport, opened.descriptor
    if file is not None and transport is not None and not request.secure and length > READ:
        transport.set_write_buffer_limits(0)  # the head of the answer and these bytes have left, all of them
        async for block in opened.read(first, READ):
            await response.write(block)
        transport.set_write_buffer_limits()
        first, length = first + READ, length - READ
        if not transport.get_write_buffer_size():
            await send_from_file(transport, file, first, length)
            return
    async for block in opened.read(first, length):
        await response.write(block)


def _range(match: re.Match[str], size: int) -> tuple[int, int] | None:
    """First byte and length of the range; None where the file has no such bytes."""
    if match[3] is not None:
        length = min(size, int(match[3]))
        return (size - length, length) if length else None
    first = int(match[1])
    last = min(int(match[2]), size - 1) if match[2] else size - 1
    return (first, last - first + 1) if first <= last else None
