"""How fast partitions are applied, seen while somebody waits for them; pure, the time comes in.

A wait that cannot end in time is to be refused early, and one that can is not to be refused at all: an
estimate is given only after a second of observation, and a partition counts as standing still only after
having been behind without moving for as long as anybody would wait. An offset that was waited for in vain
tells nothing about those before it: it may be one that Kafka has not.
"""

import math
from collections import deque
from typing import Final

from runstone_query.at_least import AtLeast, joined
from runstone_query.configuration import RETRY_AFTER_MAX_S, WAIT_MAX_S
from runstone_query.end_offsets import Place

_WINDOW_S: Final = 5.0
_FORGOTTEN_S: Final = 2.0 * RETRY_AFTER_MAX_S
"""After which nobody is waiting any more: whatever partitions somebody may name, the memory is bounded."""
_SPAN_MIN_S: Final = 1.0


class Pace:
    """Observations of the partitions that are behind; one that has caught up is forgotten."""

    def __init__(self) -> None:
        self._seen: dict[Place, deque[tuple[float, int]]] = {}
        self._standing: dict[Place, tuple[float, int]] = {}

    def observe(self, now: float, applied: AtLeast, *wanted: AtLeast) -> None:
        """At *now* (seconds) so much is *applied* and so much *wanted*, by one waiter each."""
        for place in [place for place, seen in self._seen.items() if seen[-1][0] < now - _FORGOTTEN_S]:
            self._forget(place)
        for place, offset in joined(*wanted).items():
            at = applied.get(place, 0)
            if at >= offset:
                self._forget(place)
                continue
            seen = self._seen.setdefault(place, deque())
            if not seen or seen[-1][1] != at:
                self._standing[place] = now, offset
            if seen and seen[-1][1] > at:  # another generation, which begins again
                seen.clear()
            while seen and seen[0][0] < now - _WINDOW_S:
                seen.popleft()
            seen.append((now, at))
        for place, offset in (item for one in wanted for item in one.items()):
            if applied.get(place, 0) < offset < self._standing[place][1]:
                self._standing[place] = now, offset

    def _forget(self, place: Place) -> None:
        self._seen.pop(place, None)
        self._standing.pop(place, None)

    def standing(self, now: float, place: Place) -> float:
        """For how many seconds *place* has been behind without moving."""
        return now - self._standing.get(place, (now, 0))[0]

    def seconds(self, now: float, place: Place, offset: int) -> float | None:
        """How long *place* will take to reach *offset*; infinite where it stands still, None if unknown."""
        since, in_vain = self._standing.get(place, (now, offset))
        if now - since >= WAIT_MAX_S and offset >= in_vain:
            return math.inf
        seen = self._seen.get(place)
        if not seen:
            return None
        (first, begun), (_, at) = seen[0], seen[-1]
        if now - first < _SPAN_MIN_S or at == begun:
            return None
        return (offset - at) * (now - first) / (at - begun)
