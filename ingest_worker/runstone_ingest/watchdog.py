"""The watchdog: whether a worker has silently stopped, by how far it is. Pure."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from aiokafka import TopicPartition

STUCK_SECONDS: Final = 60.0
"""How long nothing may move in a partition while records wait and everybody answers."""


class Standing(NamedTuple):
    """How far a partition that is held is.

    Attributes:
        epoch: under which it is held. fetched: the first offset that was not fetched. written: the first that
            is not in the read model. end: where Kafka's partition ends.
        resting: fetching waits on purpose, for room or for a rate.
    """

    epoch: int
    fetched: int
    written: int
    end: int
    resting: bool

    def waits(self) -> str:
        """What waits to be done, in words; empty if nothing does."""
        if self.fetched > self.written:
            return f"{self.fetched - self.written} offsets are fetched and not written"
        if self.end > self.fetched and not self.resting:
            return f"{self.end - self.fetched} offsets are not fetched"
        return ""


class Watchdog:
    """Remembers since when each partition has stood still."""

    def __init__(self) -> None:
        self._since: dict[TopicPartition, tuple[tuple[int, int, int], float]] = {}

    def forget(self) -> None:
        """Somebody does not answer, so standing still means nothing."""
        self._since.clear()

    def look(self, standings: Mapping[TopicPartition, Standing], now: float) -> str:
        """What has stood still for too long at *now* (seconds), in words; empty if nothing has."""
        since = {}
        for tp, one in standings.items():
            place = one.epoch, one.fetched, one.written
            before = self._since.get(tp)
            if before is not None and before[0] == place and one.waits():
                since[tp] = before
                if now - before[1] >= STUCK_SECONDS:
                    return (
                        f"{tp.topic}/{tp.partition} has not moved for {now - before[1]:.0f} s: {one.waits()}"
                    )
            else:
                since[tp] = place, now
        self._since = since
        return ""
