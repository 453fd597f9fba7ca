"""Heartbeats: what a record of the liveness topic says, and whether they have been coming long enough. Pure.

A record is the JSON object ``{"sessions": [id, …]}``: a sender says that these sessions are in its care. Each
gateway also publishes one without sessions once a minute, so that silence can be told from a way that is cut.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

BREAK: Final = 180.0
"""Seconds without any heartbeat after which nobody's silence means anything; they come once a minute."""

_ID: Final = re.compile(r"[0-9a-f]{32}")


def sessions(value: bytes | None) -> list[str]:
    """The sessions that a record names; none where it is not what it must be."""
    try:
        found: Any = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return []
    named = found.get("sessions") if isinstance(found, Mapping) else None
    if not isinstance(named, list):
        return []
    return [session for session in named if isinstance(session, str) and _ID.fullmatch(session)]


def latest(records: Iterable[tuple[bytes | None, int]]) -> dict[str, int]:
    """When each session was last heard, by records as (value, the broker's time in ms); ids in order.

    Under the empty id stands when anything was heard at all.
    """
    found: dict[str, int] = {}
    for value, time in records:
        for session in ("", *sessions(value)):
            found[session] = max(time, found.get(session, 0))
    return dict(sorted(found.items()))


class Feed:
    """Since when heartbeats have been coming without a break, by a clock that only goes forward."""

    def __init__(self) -> None:
        self._since = self._last = float("-inf")

    def came(self, now: float) -> None:
        """Some came now (seconds)."""
        if now - self._last > BREAK:
            self._since = now
        self._last = now

    def settled(self, now: float, seconds: float) -> bool:
        """Whether they have been coming for *seconds*, so that whoever lives has been heard."""
        return now - self._last <= BREAK and now - self._since >= seconds
