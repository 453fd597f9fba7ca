"""Compares two generations stream by stream, at equal offsets, and names what differs.

Both are read in one REPEATABLE READ transaction over one connection, so what is compared existed at one
moment. While both ingest, one of them is always a little ahead, so a difference counts only where it cannot
come from that: where the stream's partition stands at the same offset in both; or where both stand beyond the
last record of the stream in either, and still do when both have gone beyond where the farther one stood (a
dead letter changes a stream without being its last record). Everything else is looked at again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from runstone.events import identity
from runstone_store import digest, generation_changes, named_sql
from runstone_store.digest import Stream

CATALOG: Final = "catalog"
SETTLE_SECONDS: Final = 30.0
"""How long streams that are being written are looked at again."""

AGAIN_SECONDS: Final = 0.3

_SQL: Final = named_sql.load(__file__, "replay_verify.sql")

Answer = TypeVar("Answer")

Offsets = Mapping[tuple[str, int], int]


@dataclass(frozen=True, slots=True)
class Difference:
    """A stream that is not the same in both; *tables*: those that differ."""

    stream: str
    experiment_id: int | None
    last_offset: int | None
    tables: tuple[str, ...]


@dataclass(slots=True)
class Compared:
    """Attributes:
    experiments: by id (None: no ``run_started`` has come) the digests of its streams that are the same.
    differences: streams, and the catalog, that differ. unsettled: those that were never at the same offset.
    """

    experiments: dict[int | None, list[tuple[str, str]]] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)

    def digests(self) -> dict[int | None, tuple[int, str]]:
        """By experiment how many streams are the same in both, and one digest of them all."""
        return {
            experiment: (len(found), digest.combined(f"{stream} {of}" for stream, of in sorted(found)))
            for experiment, found in self.experiments.items()
        }


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """Attributes:
    streams: of each generation those that were asked for, by id. at: where each stands.
    """

    streams: tuple[Mapping[str, Stream], Mapping[str, Stream]]
    at: tuple[Offsets, Offsets]

    def places(self, place: tuple[str, int]) -> tuple[int, int]:
        """Where each generation stands at *place*."""
        return self.at[0].get(place, 0), self.at[1].get(place, 0)


class Verification:
    """Compares the generations *names* over the asyncpg *connection*; `run` it once."""

    def __init__(self, connection: Any, names: tuple[str, str], ledger: tuple[str, str, int]) -> None:
        """*ledger*: the names of the topics of events and catalog, and how many partitions it has."""
        self._connection = connection
        self._names = names
        self._events, self._catalog, self._partitions = ledger
        self._compared = Compared()
        self._doubted: dict[str, int] = {}

    async def run(self, tell: Callable[[int, int], None], settle: float = SETTLE_SECONDS) -> Compared:
        """Compare everything; *tell* hears how many streams of how many have been looked at."""
        one, other = await self._in_both(digest.streams)
        names = sorted(one | other)
        doubtful: list[str] = []
        for start in range(0, len(names), digest.AT_ONCE):
            part = names[start : start + digest.AT_ONCE]
            doubtful += await self._look(part)
            tell(start + len(part), len(names))
        catalog_doubtful = await self._look_at_catalog()
        deadline = time.monotonic() + settle
        while (doubtful or catalog_doubtful) and time.monotonic() < deadline:
            await asyncio.sleep(AGAIN_SECONDS)
            parts = [doubtful[n : n + digest.AT_ONCE] for n in range(0, len(doubtful), digest.AT_ONCE)]
            doubtful = [name for part in parts for name in await self._look(part)]
            catalog_doubtful = catalog_doubtful and await self._look_at_catalog()
        self._compared.unsettled = [*doubtful, *([CATALOG] if catalog_doubtful else [])]
        self._compared.differences.sort(key=lambda one: one.stream)
        return self._compared

    async def _in_both(self, ask: Callable[[Any], Awaitable[Answer]]) -> tuple[Answer, Answer]:
        """What *ask* answers in each generation, at one moment."""
        async with self._connection.transaction(isolation="repeatable_read", readonly=True):
            await self._connection.execute(_SQL["search_path"], self._names[0])
            one = await ask(self._connection)
            await self._connection.execute(_SQL["search_path"], self._names[1])
            return one, await ask(self._connection)

    async def _look(self, names: Sequence[str]) -> list[str]:
        """Compare the streams *names*; which of them must be looked at again?"""

        async def ask(connection: Any) -> tuple[dict[str, Stream], Offsets]:
            offsets = await generation_changes.offsets_here(connection)
            return {one.stream: one for one in await digest.some(connection, names)}, offsets

        one, other = await self._in_both(ask)
        snapshot = _Snapshot((one[0], other[0]), (one[1], other[1]))
        return [name for name in names if self._is_doubtful(name, snapshot)]

    def _is_doubtful(self, name: str, snapshot: _Snapshot) -> bool:
        one, other = (streams.get(name) for streams in snapshot.streams)
        known = one or other
        if known is None:
            return False  # it was taken back by a redrive meanwhile
        place = (self._events, identity.partition_of(name, self._partitions))
        near, far = sorted(snapshot.places(place))
        last = max((found.last_offset or 0) for found in (one, other) if found is not None)
        if one == other:
            self._compared.experiments.setdefault(known.experiment_id, []).append((name, known.digest))
            return False
        if near < far and not (last < near and self._doubted.get(name, far) <= near):
            if last < near:
                self._doubted.setdefault(name, far)
            return True
        tables = _different(one.tables if one else {}, other.tables if other else {}) or ("run",)
        self._compared.differences.append(Difference(name, known.experiment_id, last, tables))
        return False

    async def _look_at_catalog(self) -> bool:
        """Compare the catalogs; must they be looked at again?"""

        async def ask(connection: Any) -> tuple[Mapping[str, str], Offsets]:
            return await digest.catalog(connection), await generation_changes.offsets_here(connection)

        (one, at_one), (other, at_other) = await self._in_both(ask)
        place = (self._catalog, 0)
        if at_one.get(place, 0) != at_other.get(place, 0):
            return True
        if tables := _different(one, other):
            self._compared.differences.append(Difference(CATALOG, None, at_one.get(place, 0) - 1, tables))
        return False


def _different(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(table for table in {*one, *other} if one.get(table) != other.get(table)))
