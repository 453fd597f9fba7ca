"""Sends an artifact's file in a way that no browser runs it.

Only harmless types are shown in place, all of them in a sandbox and unguessed.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from runstone_query.problems import invalid
from runstone_query.stored_files import StoredFile

_MEDIA_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+", re.IGNORECASE)

_SHOWN_IN_PLACE: Final = frozenset(
    ("text/plain", "text/csv", "text/markdown", "application/json", "application/pdf",
     "image/png", "image/jpeg", "image/gif", "image/webp")
)  # fmt: skip
"""What a browser may show; everything else it only saves, since HTML, SVG and the like can run scripts."""


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


async def send(request: web.Request, file: StoredFile, pointer: Mapping[str, Any]) -> web.StreamResponse:
    """Answer *request* with *file*, or with the one range of it that is asked for."""
    first, last = 0, file.size - 1
    response = web.StreamResponse(headers={**headers(pointer), "ETag": file.tag})
    if "Range" in request.headers and request.headers.get("If-Range", file.tag) == file.tag:
        wanted = _range(request, file.size)
        if wanted is not None:
            first, last = wanted
            response.set_status(206)
            response.headers["Content-Range"] = f"bytes {first}-{last}/{file.size}"
    response.content_length = last - first + 1
    await response.prepare(request)
    if request.method == "GET":
        try:
            async for block in file.read(first, last - first + 1):
                await response.write(block)
        except (Exception, asyncio.CancelledError):  # the promised length is not kept: nothing may follow
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
