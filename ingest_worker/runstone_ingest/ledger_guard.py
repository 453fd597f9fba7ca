"""The task that looks whether the log is still the one that was applied, and whether the worker still works.

Who runs where: one task of each worker, with a consumer of its own that belongs to no group, so that neither
ingest nor aiokafka's group can hold it up; it shares `Ownership` with the other tasks and changes it without
awaiting. Every `LOOK_SECONDS` it

- compares the *witness* of each held partition with the log: the record applied last before the longest pause
  since the look before. A broker that came back without its tail, and took new records under the same offsets
  while nobody fetched, is found by it; so is a topic that was deleted and made again. The partition halts;
- lets the *watchdog* compare how far the worker is with where Kafka's partitions end. Consumers that silently
  stop are a known fault of clients; nothing but a new process is trusted then.

Every `CHECK_SECONDS` it checks the topics' settings (`topics.check`), says what is wrong and leaves it in
``ledger_findings`` for the API. Such a finding does not halt anything: with a retention of a week, a halt
would lose what ingest still can save.

Kafka or Postgres away ends a look; the next one begins anew, and what the watchdog counted is forgotten.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from runstone_ingest import scanning, topics
from runstone_ingest.back_off import FAULTS, BackOff, pause
from runstone_ingest.exceptions import StuckError, TopicError
from runstone_ingest.fetching import Fetching
from runstone_ingest.ownership import Holding, Ownership
from runstone_ingest.watchdog import Standing, Watchdog
from runstone_store import named_sql, pool

LOOK_SECONDS: Final = 5.0
CHECK_SECONDS: Final = 60.0

_DEADLINE: Final = 10.0
_FETCH_BYTES: Final = 1
"""Of a partition at a time: Kafka sends at least one whole batch, and more is not looked at."""

_FAULTS: Final = (*FAULTS, TopicError)

_SQL: Final = named_sql.load(__file__, "ledger_guard.sql")


class LedgerGuard:
    """Guards for one worker until *stop*."""

    def __init__(
        self,
        bootstrap: str,
        dsn: str,
        prefix: str,
        ownership: Ownership,
        fetching: Fetching,
        stop: asyncio.Event,
    ) -> None:
        """What it looks at; nothing is connected yet."""
        self._bootstrap = bootstrap
        self._dsn = dsn
        self._prefix = prefix
        self._ownership = ownership
        self._fetching = fetching
        self._stop = stop
        self._back_off = BackOff(stop)
        self._watchdog = Watchdog()
        self._checked_at = float("-inf")
        self._found: list[str] | None = None

    async def run(self, generation: str, paused: Callable[[], set[TopicPartition]]) -> None:
        """Guard until the stop; *generation* is the schema, *paused* tells which partitions are not fetched.

        Raises:
            StuckError: the worker has stopped working.
        """
        while not self._stop.is_set():
            try:
                async with scanning.reader(
                    self._bootstrap, "runstone-worker-guard", _FETCH_BYTES
                ) as consumer:
                    while not self._stop.is_set():
                        await pause(self._stop, LOOK_SECONDS)
                        await self._look(consumer, generation, paused)
                        self._back_off.healed()
            except _FAULTS as failed:
                self._watchdog.forget()
                await self._back_off.wait(f"the ledger cannot be checked, trying again: {failed!r}")

    async def _look(self, consumer: Any, generation: str, paused: Callable[[], set[TopicPartition]]) -> None:
        if time.monotonic() - self._checked_at >= CHECK_SECONDS:
            await self._check(generation)
            self._checked_at = time.monotonic()
        held = dict(self._ownership.held)
        async with asyncio.timeout(_DEADLINE):
            ends: Mapping[TopicPartition, int] = await consumer.end_offsets(list(held)) if held else {}
        asleep = paused() | {
            tp for tp, holding in held.items() if self._ownership.held.get(tp) is not holding
        }
        standings = {
            tp: Standing(h.epoch, h.fetch_from, h.next_offset, ends[tp], self._fetching.resting)
            for tp, h in held.items()
            if tp not in asleep
        }
        if words := self._watchdog.look(standings, time.monotonic()):
            async with self._connection(generation):  # whoever does not answer is waited for
                raise StuckError(
                    f"{words}, although Kafka and Postgres answer: this worker is stuck and ends, so that "
                    f"whoever looks after it starts a new one"
                )
        for tp, holding in held.items():
            if holding.witness is not None and not self._stop.is_set():
                await self._compare(consumer, tp, holding, holding.witness)

    async def _compare(
        self, consumer: Any, tp: TopicPartition, holding: Holding, witness: tuple[int, bytes]
    ) -> None:
        """Halt *tp* if the log does not hold the record that *witness* is of."""
        offset, expected = witness
        try:
            async with asyncio.timeout(_DEADLINE):
                record = await scanning.record_at(consumer, tp, offset)
        except OffsetOutOfRangeError:
            record = None
        if self._ownership.held.get(tp) is not holding:
            return
        holding.seen()
        if record is None or record.hash() != expected:
            found = "nothing" if record is None else "another record"
            self._ownership.halt(
                tp, "rewritten", f"expected at offset {offset} a record that was applied, found {found}"
            )

    async def _check(self, generation: str) -> None:
        """Look at the topics' settings; say and write down what has changed since the last time."""
        found = sorted(await topics.check(self._bootstrap, self._prefix))
        if found == self._found:
            return
        async with self._connection(generation) as connection, connection.transaction():
            await connection.execute(_SQL["forget_findings"], found)
            await connection.execute(_SQL["save_findings"], found)
        for finding in found:
            print(f"runstone worker: ALARM {finding}", file=sys.stderr, flush=True)
        self._found = found

    @asynccontextmanager
    async def _connection(self, generation: str) -> AsyncIterator[Any]:
        connection = await pool.connect_writer(self._dsn, "runstone worker, guard")
        try:
            await connection.execute(f"SET search_path TO {generation}")
            yield connection
        finally:
            connection.terminate()
