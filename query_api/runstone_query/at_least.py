"""What a read has to have seen: offsets that must have been applied before it may be answered.

The gateway sends them with every read in the header ``Runstone-At-Least``, so that whoever wrote through it
reads what it wrote; native routes take them from their query too. All of this is pure.
"""

from collections.abc import Mapping
from typing import Final

import orjson

from runstone_query import client_json
from runstone_query.end_offsets import Place
from runstone_query.inputs import digits
from runstone_query.problems import Problem, invalid

HEADER: Final = "Runstone-At-Least"

AtLeast = Mapping[Place, int]
"""By (topic, partition): the next offset that the read model must have reached."""

OFFSET_MAX: Final = 2**53 - 1
_PARTITION_MAX: Final = 2**31 - 1
_HEADER_ACCEPTED: Final = 'JSON as {"<topic>": {"<partition>": next_offset}} with this installation\'s topics'


def from_json(field: str, found: object, topics: Mapping[str, str]) -> AtLeast:
    """The offsets in ``{"<topic>": {"<partition>": next_offset}}``; *topics* are the only ones there are.

    Raises:
        Problem: 400 naming *field*.
    """
    wanted: dict[Place, int] = {}
    if type(found) is not dict:
        raise invalid(field, found, _HEADER_ACCEPTED)
    for topic, partitions in found.items():
        if topic not in topics.values() or type(partitions) is not dict:
            raise invalid(field, found, _HEADER_ACCEPTED)
        for partition, offset in partitions.items():
            if type(offset) is not int or not 0 <= offset <= OFFSET_MAX:
                raise invalid(field, found, _HEADER_ACCEPTED)
            wanted[topic, digits(field, partition, 0, _PARTITION_MAX)] = offset
    return wanted


def from_header(text: str, topics: Mapping[str, str]) -> AtLeast:
    """The offsets that the header's *text* names. Raises what `from_json` raises."""
    try:
        found = client_json.loads(text)
    except ValueError:
        raise invalid(HEADER, text, _HEADER_ACCEPTED) from None
    return from_json(HEADER, found, topics)


def from_min_offset(text: str, topic: str) -> AtLeast:
    """The offsets of ``PARTITION:NEXT_OFFSET[,…]`` in *topic*. Raises the 400 problem."""
    wanted: dict[Place, int] = {}
    for part in text.split(","):
        partition, colon, offset = part.partition(":")
        if not colon:
            raise invalid("min_offset", text, "PARTITION:NEXT_OFFSET, several joined by commas")
        place = topic, digits("min_offset, a partition", partition, 0, _PARTITION_MAX)
        wanted[place] = digits("min_offset, an offset", offset, 0, OFFSET_MAX)
    return wanted


def applied_from_text(text: str | None) -> AtLeast:
    """How far partitions are, as Postgres tells it in JSON; null where there are none."""
    return {
        (topic, int(partition)): offset
        for topic, partitions in orjson.loads(text or "{}").items()
        for partition, offset in partitions.items()
    }


def joined(*sets: AtLeast) -> AtLeast:
    """What satisfies all of *sets*."""
    wanted: dict[Place, int] = {}
    for one in sets:
        for place, offset in one.items():
            wanted[place] = max(offset, wanted.get(place, 0))
    return wanted


def missing(wanted: AtLeast, applied: AtLeast) -> AtLeast:
    """Those of *wanted* that *applied* has not reached."""
    return {place: offset for place, offset in wanted.items() if applied.get(place, 0) < offset}


class NotReachedError(Exception):
    """A snapshot that has not reached the offsets it must have."""


def behind(retry_after: int) -> Problem:
    """The problem of a read model that will not reach the offsets in time; *retry_after* in seconds."""
    return Problem(
        503,
        "behind",
        "the read model has not yet applied what this answer must contain, and will not in time; "
        f"ask again in {retry_after} s",
        retry_after=retry_after,
    )
