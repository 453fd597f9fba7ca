"""What ``runstone replay`` tells of generations: which there are, and how far each is."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from runstone_ingest.course import halted, has_owner
from runstone_ingest.exceptions import IngestError
from runstone_ingest.replay_offsets import Ends, Ledger
from runstone_ingest.replay_progress import Progress, Watch
from runstone_store import generation_changes, generations
from runstone_store.exceptions import NoSuchGenerationError
from runstone_store.generations import INGESTING, Generation

LOOK_SECONDS = 0.25
WORKERLESS_SECONDS = 30.0
"""How long a generation may be without a worker before waiting for it is given up."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One generation: *progress* towards its end, or towards Kafka's (None while Kafka is not asked).

    *size*: bytes; *has_worker*: whether somebody writes it now; *halts*: where nothing more is applied.
    """

    generation: Generation
    progress: Progress | None
    size: int
    has_worker: bool
    halts: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        found, progress = self.generation, self.progress
        return {
            "generation": found.name,
            "state": found.state,
            "live": found.is_live,
            "created_at": found.created_at.isoformat(),
            "state_at": found.state_at.isoformat(),
            "until": found.until,
            "asked": found.asked,
            "rate": found.rate,
            "bytes": self.size,
            "has_worker": self.has_worker,
            "halts": list(self.halts),
            "applied": progress and progress.applied,
            "whole": progress and progress.whole,
            "lag_records": progress and progress.left,
        }


async def standings(connection: Any, ledger: Ledger | None) -> list[Standing]:
    """All generations; their progress is known where *ledger* can be asked or they have an end."""
    ends = None if ledger is None else await ledger.ends()
    found = []
    for one in await generations.listed(connection):
        if one.state == "dropping":
            found.append(Standing(one, None, 0, has_worker=False))
            continue
        found.append(
            Standing(
                one,
                await _progress(connection, one, ends),
                await generation_changes.size(connection, one.name),
                await has_owner(connection, one.name),
                await halted(connection, one.name),
            )
        )
    return found


async def _progress(connection: Any, one: Generation, ends: Ends | None) -> Progress | None:
    wanted = _until(one, ends)
    if wanted is None:
        return None
    applied = await generation_changes.offsets(connection, one.name)
    done = sum(min(offset, applied.get((tp.topic, tp.partition), 0)) for tp, offset in wanted.items())
    return Progress(done, sum(wanted.values()))


def _until(one: Generation, ends: Ends | None) -> Ends | None:
    if one.until is None:
        return ends
    return {
        TopicPartition(topic, int(partition)): offset
        for topic, partitions in one.until.items()
        for partition, offset in partitions.items()
    }


async def wait_caught_up(
    connection: Any, ledger: Ledger, name: str, tell: Callable[[Progress], None], alive: Callable[[], bool]
) -> str:
    """Wait until *name* is ready or frozen, telling its progress: which of the two is it?

    *alive* says whether the process that was started for it still runs; where it does not, somebody else's
    worker may take the generation on, and only when nobody does for a while that is the end.

    Raises:
        IngestError: the generation was dropped, a partition of it is halted, or nobody writes it.
    """
    watch, lonely_since = Watch(), None
    while True:
        try:
            one = await generations.find(connection, name)
        except NoSuchGenerationError:
            one = None
        if one is None or one.state not in INGESTING:
            if one is not None and one.state == "frozen":
                return "frozen"
            raise IngestError(f"{name} was dropped before it had caught up")
        if one.state != "building":
            return "ready"
        if halts := await halted(connection, name):
            raise IngestError(
                f"{name} does not catch up: {'; '.join(halts)} (docs/read-model.md, 'A partition that halts')"
            )
        now = time.monotonic()
        progress = await _progress(connection, one, await ledger.ends())
        if progress is not None:
            tell(watch.observe(now, progress.applied, progress.whole))
        if alive() or await has_owner(connection, name):
            lonely_since = None
        elif lonely_since is None:
            lonely_since = now
        elif now - lonely_since > WORKERLESS_SECONDS:
            raise IngestError(
                f"nobody writes {name}: its worker has ended; start one with "
                f"'runstone worker --generation {name}', or drop it with 'runstone replay drop {name}'"
            )
        await asyncio.sleep(LOOK_SECONDS)


def table(found: Sequence[Standing]) -> list[Sequence[str]]:
    """The cells of a table for a person, its head first."""
    rows: list[Sequence[str]] = [("generation", "state", "behind by", "size", "worker", "of")]
    for one in found:
        behind = "unknown" if one.progress is None else f"{one.progress.left:,} records"
        rows.append(
            (
                one.generation.name,
                f"{one.generation.state}{', halted' if one.halts else ''}",
                behind,
                f"{one.size / 1e6:,.1f} MB",
                "yes" if one.has_worker else "no",
                one.generation.asked or "everything",
            )
        )
    return rows


def by_experiment(digests: Mapping[int | None, tuple[int, str]]) -> list[str]:
    """A line for each experiment: how many runs are the same in both, and the digest of them all."""
    return [
        f"experiment {'unknown' if experiment is None else experiment}: {count} "
        f"{'run is' if count == 1 else 'runs are'} the same, digest {of[:16]}"
        for experiment, (count, of) in sorted(
            digests.items(), key=lambda item: (item[0] is None, item[0] or 0)
        )
    ]
