"""Makes numbers of the chunks that the view ``stored_chunks`` of a generation holds.

numpy reads the binary form of an array twenty times faster than a driver makes numbers of it. A row is a
mapping with ``first_step``, ``step_stride``, ``sent_steps``, ``first_time``, ``time_stride``,
``sent_times`` and ``sent_vals``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

Chunks = Sequence[Mapping[str, Any]]

_HEADER: Final = 20
"""Bytes before the elements: dimensions, flags, type, length, bound."""

_TYPE: Final = slice(8, 12)
_INTEGER: Final = (23).to_bytes(4)

_NARROW: Final = np.dtype([("length", ">i4"), ("value", ">i4")])
_WIDE: Final = np.dtype([("length", ">i4"), ("value", ">i8")])
_VALUE: Final = np.dtype([("length", ">i4"), ("value", ">f8")])


def steps(chunks: Chunks) -> npt.NDArray[np.int64]:
    """The steps of all points of *chunks*, one chunk after the other."""
    return _integers(chunks, "step")


def times(chunks: Chunks) -> npt.NDArray[np.int64]:
    """Their times, ms."""
    return _integers(chunks, "time")


def values(chunks: Chunks) -> npt.NDArray[np.float64]:
    """Their values."""
    parts = [np.frombuffer(chunk["sent_vals"], _VALUE, offset=_HEADER)["value"] for chunk in chunks]
    return np.concatenate(parts, dtype=np.float64) if parts else np.empty(0)


def _integers(chunks: Chunks, name: Literal["step", "time"]) -> npt.NDArray[np.int64]:
    parts: list[npt.NDArray[Any]] = []
    for chunk in chunks:
        sent = chunk[f"sent_{name}s"]
        if sent[_TYPE] == _INTEGER:
            rest = np.frombuffer(sent, _NARROW, offset=_HEADER)["value"]
            even = np.arange(len(rest)) * chunk[f"{name}_stride"] + chunk[f"first_{name}"]
            parts.append(even + rest)
        else:
            parts.append(np.frombuffer(sent, _WIDE, offset=_HEADER)["value"])
    return np.concatenate(parts, dtype=np.int64) if parts else np.empty(0, np.int64)
