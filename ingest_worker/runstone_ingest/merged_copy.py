"""Merged chunks as a binary COPY into ``merged_chunks``.

Steps and times are kept as what is left of them beside a straight line from the first to the last, in
integers of four bytes; where that does not fit, or where computing it could overflow in SQL, as they are.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from runstone_ingest import binary_copy
from runstone_ingest.binary_copy import FLOAT8, INT4, INT8, NULL

COLUMNS: Final = (
    "run_id",
    "key",
    "model_id",
    "dataset_name",
    "dataset_digest",
    "first_offset",
    "last_offset",
    "points",
    "first_step",
    "step_stride",
    "narrow_steps",
    "wide_steps",
    "first_time",
    "time_stride",
    "narrow_times",
    "wide_times",
    "vals",
)

_ROW: Final = binary_copy.row(len(COLUMNS))
_SAFE: Final = 1 << 60
"""Below this sums of a few numbers do not leave 64 bits."""

_NARROW: Final = np.iinfo(np.int32)


class Merged(NamedTuple):
    """One row: points of the series *series* (run, key, model, dataset's name and digest) in topic order.

    Attributes:
        first_offset, last_offset: where the first and the last chunk begin that it is made of.
        steps, times: int64, times in ms. values: float64. Equal lengths, at least 1.
    """

    series: tuple[str, ...]
    first_offset: int
    last_offset: int
    steps: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]


def encode(chunks: Iterable[Merged]) -> Iterator[bytes]:
    """The COPY stream, in pieces of about a mebibyte."""
    parts: list[bytes | memoryview] = [binary_copy.HEADER]
    size = 0
    for chunk in chunks:
        parts += [_ROW, *map(binary_copy.text, chunk.series)]
        parts += [binary_copy.bigint(chunk.first_offset), binary_copy.bigint(chunk.last_offset)]
        parts.append(binary_copy.integer(len(chunk.values)))
        for numbers in (chunk.steps, chunk.times):
            parts += _numbers(numbers)
        parts += _array(chunk.values, FLOAT8)
        size += sum(map(len, parts[-6:]))
        if size > binary_copy.PIECE:
            yield b"".join(parts)
            parts, size = [], 0
    parts.append(binary_copy.TRAILER)
    yield b"".join(parts)


def _numbers(values: npt.NDArray[np.int64]) -> list[bytes | memoryview]:
    """The fields first, stride, narrow and wide of steps or times."""
    if values.min() > -_SAFE and values.max() < _SAFE:
        first = int(values[0])
        stride = (int(values[-1]) - first) // max(len(values) - 1, 1)
        rest = values - (np.arange(len(values)) * stride + first)
        if _NARROW.min <= rest.min() and rest.max() <= _NARROW.max:
            return [binary_copy.bigint(first), binary_copy.bigint(stride), *_array(rest, INT4), NULL]
    return [binary_copy.bigint(0), binary_copy.bigint(0), NULL, *_array(values, INT8)]


def _array(values: Any, of: binary_copy.Element) -> list[bytes | memoryview]:
    return [binary_copy.array_head(len(values), of), binary_copy.elements(values, of)]
