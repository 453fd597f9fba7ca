"""One HTTP GET without a library: what the launcher asks its own services while they start."""

import asyncio
import urllib.parse


async def get(url: str, patience: float = 5.0) -> tuple[int, bytes]:
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
    except (OSError, TimeoutError):
        return 0, b""
    fields = head.split(b" ", 2)
    return (int(fields[1]), body) if len(fields) == 3 and fields[1].isdigit() else (0, b"")
