"""Ids that never need a server, and the partition of a stream."""

import hashlib
import os
import time
from typing import Final

DEFAULT_EXPERIMENT: Final = "Default"
DEFAULT_EXPERIMENT_ID: Final = 0


def new_run_id(now_ms: int | None = None) -> str:
    """A time-ordered UUID (version 7, RFC 9562) as 32 hexadecimal digits, the form MLflow's run ids have."""
    ms = int(time.time() * 1000) if now_ms is None else now_ms
    random = int.from_bytes(os.urandom(10), "big")
    value = (
        (ms & (1 << 48) - 1) << 80
        | 0x7 << 76
        | (random >> 68 & 0xFFF) << 64
        | 0b10 << 62
        | random & (1 << 62) - 1
    )
    return f"{value:032x}"


def new_session_id() -> str:
    """The id of one writing process, as 32 hexadecimal digits; made like a run's so that it sorts by age."""
    return new_run_id()


def experiment_id(name: str, nth: int = 1) -> int:
    """The id of the *nth* experiment created under *name*: a positive number below 2**53; "Default" is 0.

    It is the first 53 bits of SHA-256 over the name's UTF-8; a later creation under a name that was freed
    by a rename appends NUL and its decimal ordinal. Test vectors are in ``docs/events.md``.
    """
    if name == DEFAULT_EXPERIMENT and nth == 1:
        return DEFAULT_EXPERIMENT_ID
    text = name if nth == 1 else f"{name}\0{nth}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 11 or 1


def partition_of(stream: str, partitions: int) -> int:
    """The partition that carries *stream*: Kafka's murmur2 of its UTF-8, made positive, modulo *partitions*.

    The count is the one recorded when the topic was created, never today's: adding partitions later must
    not tear a run's stream in two. The hash is that of Kafka's Java client (``Utils.murmur2``).
    """
    data = stream.encode()
    length = len(data)
    mask = 0xFFFFFFFF
    m = 0x5BD1E995
    h = 0x9747B28C ^ length
    whole = length & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    if rest := data[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return ((h ^ h >> 15) & 0x7FFFFFFF) % partitions
