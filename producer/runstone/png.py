"""Writes pixels as a PNG file, with the standard library alone (ISO/IEC 15948; zlib does the work)."""

import struct
import zlib
from typing import Final

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES: Final = {1: 0, 3: 2, 4: 6}
"""Channels -> the format's number: grey, RGB, RGBA."""

_NO_FILTER: Final = b"\0"
_LEVEL: Final = 6


def png(pixels: bytes, width: int, height: int, channels: int) -> bytes:
    """The file's bytes.

    Args:
        pixels: 8 bits a channel, row by row from the top: ``width * height * channels`` bytes.
        width: in pixels.
        height: in pixels.
        channels: 1 (grey), 3 (RGB) or 4 (RGBA).
    """
    row = width * channels
    lines = b"".join(_NO_FILTER + pixels[at : at + row] for at in range(0, row * height, row))
    head = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    return (
        _SIGNATURE
        + _chunk(b"IHDR", head)
        + _chunk(b"IDAT", zlib.compress(lines, _LEVEL))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
