"""The histories that clients are reading page by page, so that each page is not made from all points anew.

Kept in memory by what they were made of; used on the application's loop.
"""

from collections import OrderedDict
from typing import Final, NamedTuple

from runstone_query.mlflow.histories import History

POINTS_MOST: Final = 4_000_000
"""Points of all histories together, 24 bytes each."""


class Source(NamedTuple):
    """What a history is made of: points never change, there are only more of them (in whatever chunks)."""

    generation: str
    run_id: str
    key: str
    points: int
    last_offset: int | None


class RecentHistories:
    """Those that were asked for last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Source, History] = OrderedDict()
        self._points = 0

    def get(self, source: Source) -> History | None:
        """The history made of *source*, if it is kept."""
        found = self._kept.get(source)
        if found is not None:
            self._kept.move_to_end(source)
        return found

    def keep(self, source: Source, history: History) -> None:
        """Keep *history* while nothing newer needs its place."""
        if source in self._kept or len(history) > POINTS_MOST:
            return
        self._kept[source] = history
        self._points += len(history)
        while self._points > POINTS_MOST:
            _, oldest = self._kept.popitem(last=False)
            self._points -= len(oldest)
