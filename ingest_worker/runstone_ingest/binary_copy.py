"""Postgres's COPY … (FORMAT binary): big-endian, a length before every field.

An array is its dimensions and then, for each element, a length and the element, which is a numpy structured
type; so many arrays can be made in one go and cut into rows.
"""

import struct
from typing import Any, Final, NamedTuple

import numpy as np

HEADER: Final = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
TRAILER: Final = struct.pack(">h", -1)
NULL: Final = struct.pack(">i", -1)
PIECE: Final = 1 << 20
"""Bytes after which a piece is handed over, so that a large COPY is sent while the rest is still built."""

_ARRAY: Final = struct.Struct(
    ">iiiIii"
)  # bytes of the field, dimensions, has nulls, element's type, size, bound
_INTEGER: Final = struct.Struct(">ii")
_BIGINT: Final = struct.Struct(">iq")


class Element(NamedTuple):
    """What an array is made of: the type's oid, the element as numpy has it on the wire, its bytes."""

    oid: int
    wire: str
    size: int


INT4: Final = Element(23, ">i4", 4)
INT8: Final = Element(20, ">i8", 8)
FLOAT8: Final = Element(701, ">f8", 8)


def row(fields: int) -> bytes:
    """The beginning of a row."""
    return struct.pack(">h", fields)


def text(value: str) -> bytes:
    """A field of type text."""
    data = value.encode()
    return struct.pack(">i", len(data)) + data


def integer(value: int) -> bytes:
    """A field of type integer."""
    return _INTEGER.pack(4, value)


def bigint(value: int) -> bytes:
    """A field of type bigint."""
    return _BIGINT.pack(8, value)


def elements(values: Any, of: Element) -> memoryview:
    """The elements of arrays of *values*, a numpy array; each takes ``4 + of.size`` bytes."""
    made = np.empty(len(values), np.dtype([("length", ">i4"), ("value", of.wire)]))
    made["length"] = of.size
    made["value"] = values
    return memoryview(made.tobytes())


def array_head(length: int, of: Element) -> bytes:
    """What comes before the *length* elements of an array."""
    return _ARRAY.pack(20 + length * (4 + of.size), 1, 0, of.oid, length, 1)
