"""The points of a batch as a binary COPY into ``metric_chunks``: one row a series, arrays built by numpy.

The format is that of Postgres's COPY … (FORMAT binary): big-endian, a length before every field. An array is
its dimensions and then, for each element, a length and the element, which is a numpy structured type; so all
arrays of a batch are made in one go and cut into rows.
"""

import struct
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from runstone_ingest.projector.points import Grouped

COLUMNS: Final = (
    "run_id",
    "key",
    "model_id",
    "dataset_name",
    "dataset_digest",
    "first_offset",
    "steps",
    "times",
    "vals",
)

_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_TRAILER: Final = struct.pack(">h", -1)
_ROW: Final = struct.pack(">h", len(COLUMNS))
_ARRAY: Final = struct.Struct(
    ">iiiIii"
)  # bytes of the field, dimensions, has nulls, element's type, size, bound
_BIGINT: Final = struct.Struct(">iq")
_INT8_OID: Final = 20
_FLOAT8_OID: Final = 701
_ELEMENT: Final = 12
_PIECE: Final = 1 << 20
"""Bytes after which a piece is handed over, so that a large batch is sent while the rest is still built."""


def _elements(values: Any, kind: str) -> memoryview:
    made = np.empty(len(values), np.dtype([("length", ">i4"), ("value", kind)]))
    made["length"] = 8
    made["value"] = values
    return memoryview(made.tobytes())


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack(">i", len(data)) + data


def encode(points: Grouped) -> Iterator[bytes]:
    """The COPY stream, in pieces of about a mebibyte."""
    columns = (
        (_elements(points.s, ">i8"), _INT8_OID),
        (_elements(points.t, ">i8"), _INT8_OID),
        (_elements(points.v, ">f8"), _FLOAT8_OID),
    )
    starts = points.starts.tolist()
    parts: list[bytes | memoryview] = [_HEADER]
    size = 0
    for number, (series, first_offset) in enumerate(
        zip(points.series, points.first_offsets.tolist(), strict=True)
    ):
        low, end = starts[number], starts[number + 1]
        parts += [_ROW, _text(series.run_id), *map(_text, series.key), _BIGINT.pack(8, first_offset)]
        for data, element in columns:
            parts += [
                _ARRAY.pack(20 + (end - low) * _ELEMENT, 1, 0, element, end - low, 1),
                data[low * _ELEMENT : end * _ELEMENT],
            ]
        size += 3 * (end - low) * _ELEMENT + 200
        if size > _PIECE:
            yield b"".join(parts)
            parts, size = [], 0
    parts.append(_TRAILER)
    yield b"".join(parts)
