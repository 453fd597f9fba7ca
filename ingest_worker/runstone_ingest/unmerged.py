"""Which runs have chunks to be merged, and when their time has come. Pure; times are seconds of one clock.

The writing task notes what it has committed, the merging task takes what is due: a run of whose series each
has enough points for a full chunk, or many small chunks, or of which nothing more has come for a while.
What was there when a partition was taken over counts as if it had come then.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from aiokafka import TopicPartition

from runstone_ingest.projector.points import Segment

FULL: Final = 4096
"""Points of a chunk that is not merged further: its arrays are some pages each, and reading it is cheap."""

BATCHES: Final = 256
"""Chunks that a series may have waiting, however small they are."""

QUIET_SECONDS: Final = 60.0
"""After so long without points, what there is is merged."""


@dataclass(slots=True)
class _Waiting:
    home: TopicPartition
    since: float
    points: int = 0
    batches: int = 0
    series: int = 1

    @property
    def enough(self) -> bool:
        return self.points >= FULL * self.series or self.batches >= BATCHES


class Unmerged:
    """The runs that wait. Shared by two tasks of one event loop; nothing here awaits."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()  # the longest quiet first
        self._due: OrderedDict[str, _Waiting] = OrderedDict()
        self.written_at = float("-inf")
        """When points were committed last."""

    def wrote(self, segments: Iterable[Segment], home: Callable[[str], TopicPartition], now: float) -> None:
        """*segments* were committed; ``home(run_id)`` is the partition they came from."""
        batch: dict[str, _Waiting] = {}
        for segment in segments:
            one = batch.get(segment.run_id)
            if one is None:
                one = batch[segment.run_id] = self._note(segment.run_id, home(segment.run_id), now)
                one.batches += 1
            one.points += len(segment.v)
            one.series = max(one.series, len(segment.keys))
        for run_id, one in batch.items():
            if one.enough:
                self._due[run_id] = self._waiting.pop(run_id)
        if batch:
            self.written_at = now

    def found(self, run_id: str, home: TopicPartition, now: float) -> None:
        """There are chunks of a run of which nothing is known."""
        self._note(run_id, home, now)

    def _note(self, run_id: str, home: TopicPartition, now: float) -> _Waiting:
        one = self._waiting.get(run_id)
        if one is None or one.home != home:
            one = self._waiting[run_id] = _Waiting(home, now)
        one.since = now
        self._waiting.move_to_end(run_id)
        return one

    def take(self, now: float) -> str | None:
        """A run that is due; it is forgotten."""
        if not self._due:
            run_id, one = next(iter(self._waiting.items()), ("", None))
            if one is None or now - one.since < QUIET_SECONDS:
                return None
            self._due[run_id] = self._waiting.pop(run_id)
        return self._due.popitem(last=False)[0]

    def keep(self, held: Iterable[TopicPartition]) -> None:
        """Forget the runs of other partitions than *held*."""
        homes = frozenset(held)
        for runs in (self._waiting, self._due):
            for run_id in [run_id for run_id, one in runs.items() if one.home not in homes]:
                del runs[run_id]
