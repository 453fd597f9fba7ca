"""The points of a batch as a binary COPY into ``metric_chunks``: one row a series, arrays built by numpy.

All arrays of a batch are made in one go and cut into rows.
"""

from collections.abc import Iterator
from typing import Final

from runstone_ingest import binary_copy
from runstone_ingest.binary_copy import FLOAT8, INT8
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

_ROW: Final = binary_copy.row(len(COLUMNS))
_ELEMENT: Final = 12


def encode(points: Grouped) -> Iterator[bytes]:
    """The COPY stream, in pieces of about a mebibyte."""
    columns = (
        (binary_copy.elements(points.s, INT8), INT8),
        (binary_copy.elements(points.t, INT8), INT8),
        (binary_copy.elements(points.v, FLOAT8), FLOAT8),
    )
    starts = points.starts.tolist()
    parts: list[bytes | memoryview] = [binary_copy.HEADER]
    size = 0
    for number, (series, first_offset) in enumerate(
        zip(points.series, points.first_offsets.tolist(), strict=True)
    ):
        low, end = starts[number], starts[number + 1]
        parts += [_ROW, binary_copy.text(series.run_id), *map(binary_copy.text, series.key)]
        parts.append(binary_copy.bigint(first_offset))
        for data, element in columns:
            parts += [
                binary_copy.array_head(end - low, element),
                data[low * _ELEMENT : end * _ELEMENT],
            ]
        size += 3 * (end - low) * _ELEMENT + 200
        if size > binary_copy.PIECE:
            yield b"".join(parts)
            parts, size = [], 0
    parts.append(binary_copy.TRAILER)
    yield b"".join(parts)
