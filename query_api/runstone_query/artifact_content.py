"""Sends an artifact's file out of the folder that is the store.

The pointer's URI is an event's word, so anybody who can log an artifact chose it: a file is opened only
when it lies below the configured root after every symbolic link has been followed. It is sent in a way
that no browser runs it: only harmless types are shown in place, all of them in a sandbox and unguessed.
File system calls run in threads; the file is closed when the request ends, however it ends.
"""

import asyncio
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import quote, unquote, urlsplit

from aiohttp import web

from runstone_query.problems import Problem, invalid

_BLOCK: Final = 256 * 1024
"""Bytes read and sent at once."""

_MEDIA_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+", re.IGNORECASE)

_SHOWN_IN_PLACE: Final = frozenset(
    ("text/plain", "text/csv", "text/markdown", "application/json", "application/pdf",
     "image/png", "image/jpeg", "image/gif", "image/webp")
)  # fmt: skip
"""What a browser may show; everything else it only saves, since HTML, SVG and the like can run scripts."""


def open_below(root: Path | None, uri: str) -> BinaryIO:
    """The file at *uri*, opened for reading, its links followed. Blocks; call it in a thread.

    Raises:
        Problem: 403 where it does not lie below *root*, 410 where there is no such file any more.
    """
    outside = Problem(
        403, "artifact-elsewhere", f"the artifact lies at {uri[:300]!a}, outside the store served here"
    )
    gone = Problem(410, "artifact-gone", "the artifact's file is no longer in the store")
    try:
        parts = urlsplit(uri)
        path = Path(unquote(parts.path)).resolve()
    except (OSError, RuntimeError, ValueError):  # no URI, a NUL, links in a circle
        raise outside from None
    if (
        root is None
        or parts.scheme != "file"
        or parts.netloc not in {"", "localhost"}
        or not path.is_relative_to(root.resolve())
    ):
        raise outside
    try:
        # without waiting for the other end of a pipe, and not through a link put there in between
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        raise gone from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise gone
    return os.fdopen(descriptor, "rb")


def headers(pointer: Mapping[str, Any]) -> dict[str, str]:
    """The headers that say what the file is and keep browsers from running it."""
    media_type = str(pointer["media_type"]).partition(";")[0].strip().lower()
    if not _MEDIA_TYPE.fullmatch(media_type):
        media_type = "application/octet-stream"
    name = quote(str(pointer["path"]).rpartition("/")[2], safe="")
    place = "inline" if media_type in _SHOWN_IN_PLACE else "attachment"
    return {
        "Content-Type": f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type,
        "Content-Disposition": f"{place}; filename*=UTF-8''{name}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Accept-Ranges": "bytes",
    }


async def send(request: web.Request, file: BinaryIO, pointer: Mapping[str, Any]) -> web.StreamResponse:
    """Answer *request* with *file*, or with the one range of it that is asked for."""
    found = os.fstat(file.fileno())
    tag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
    first, last = 0, found.st_size - 1
    response = web.StreamResponse(headers={**headers(pointer), "ETag": tag})
    if "Range" in request.headers and request.headers.get("If-Range", tag) == tag:
        wanted = _range(request, found.st_size)
        if wanted is not None:
            first, last = wanted
            response.set_status(206)
            response.headers["Content-Range"] = f"bytes {first}-{last}/{found.st_size}"
    response.content_length = last - first + 1
    await response.prepare(request)
    if request.method == "GET":
        try:
            await _copy(file, first, last - first + 1, response)
        except (ConnectionError, asyncio.CancelledError):
            if request.transport is not None:
                request.transport.abort()
            raise
    await response.write_eof()
    return response


def _range(request: web.Request, size: int) -> tuple[int, int] | None:
    """The first and last byte of the one range asked for; nothing where several are: all is sent then.

    Raises:
        Problem: 416 where the file has no such bytes.
    """
    text = request.headers["Range"]
    match = re.fullmatch(r"bytes=\s*(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))\s*", text)
    if match is None:
        return None
    if match[3] is not None:
        first, last = max(0, size - int(match[3])), size - 1
    else:
        first = int(match[1])
        last = min(int(match[2]), size - 1) if match[2] else size - 1
    if match[1] and match[2] and int(match[2]) < int(match[1]):
        return None
    if first >= size or first > last:
        raise invalid("Range", text, f"bytes of a file of {size}", status=416)
    return first, last


async def _copy(file: BinaryIO, first: int, length: int, response: web.StreamResponse) -> None:
    await asyncio.to_thread(file.seek, first)
    while length:
        block = await asyncio.to_thread(file.read, min(_BLOCK, length))
        if not block:  # cut off while it is sent: the promised length breaks the connection, as it must
            raise ConnectionResetError("the file became shorter while it was sent")
        length -= len(block)
        await response.write(block)
