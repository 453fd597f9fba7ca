"""What a person decides about a partition that halts; docs/read-model.md, 'A partition that halts'.

Every decision is one transaction. The workers look once a second whether a halt is gone and go on by
themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import TopicPartition

from runstone_ingest import scanning
from runstone_ingest.exceptions import IngestError, TopicError
from runstone_store import named_sql
from runstone_store.configuration import catalog_topic

_SQL: Final = named_sql.load(__file__, "repair.sql")


@dataclass(frozen=True, slots=True)
class Halted:
    """A partition that halts.

    Attributes:
        kind: lost, rewritten, recreated or poison. at: ms. next_offset: how far it is applied.
        log: the first offset that Kafka has of it and the one behind the last; None where nobody can say.
    """

    topic: str
    partition: int
    kind: str
    reason: str
    version: str
    at: int
    next_offset: int
    log: tuple[int, int] | None = None

    @property
    def place(self) -> str:
        """As people write it."""
        return f"{self.topic}/{self.partition}"


async def halted(connection: Any, bootstrap: str) -> list[Halted]:
    """The partitions that halt, with what Kafka has of them."""
    rows = [Halted(*row) for row in await connection.fetch(_SQL["halts"])]
    if not rows:
        return []
    try:
        async with scanning.reader(bootstrap, "runstone-repair") as consumer:
            return [await _with_log(consumer, row) for row in rows]
    except TopicError:
        return rows


async def _with_log(consumer: Any, row: Halted) -> Halted:
    log = await scanning.bounds(consumer, TopicPartition(row.topic, row.partition))
    return Halted(row.topic, row.partition, row.kind, row.reason, row.version, row.at, row.next_offset, log)


async def findings(connection: Any) -> list[tuple[str, int]]:
    """What is wrong with the topics' settings, and since when (ms)."""
    return [(row["finding"], row["at"]) for row in await connection.fetch(_SQL["findings"])]


async def resume(connection: Any, which: Sequence[Halted], accept_dead_until: int) -> None:
    """End the halts; where the cause is still there, the partitions halt again.

    *accept_dead_until*: bad records below this offset become dead letters, however many there are.
    """
    async with connection.transaction():
        for one in which:
            if accept_dead_until:
                await connection.execute(_SQL["accept_dead"], one.topic, one.partition, accept_dead_until)
            await connection.execute(_SQL["end_halt"], one.topic, one.partition)


def consequences(one: Halted) -> list[str]:
    """What `reread` would mean for a partition, in sentences for the person who decides.

    Raises:
        IngestError: nobody knows, because Kafka does not tell what it has.
    """
    if one.log is None:
        raise IngestError(f"{one.place}: Kafka does not say what it holds of it; make it reachable first")
    first, end = one.log
    said = [
        f"{one.place}: Kafka holds offsets {first} to {end}, {one.next_offset} is the next one to apply.",
        f"It is read again from offset {first}; what was applied before is recognised and not applied twice.",
    ]
    if first > one.next_offset:
        said.append(
            f"LOST: the records at offsets {one.next_offset} to {first - 1} were never applied and are gone "
            f"from Kafka; their runs will show gaps."
        )
    if one.kind != "lost" or end < one.next_offset:
        said.append(
            "What the read model holds and Kafka does not stays in the read model only: a replay will not "
            "have it, and 'runstone verify' will name those runs."
        )
    return said


async def reread(connection: Any, which: Sequence[Halted], prefix: str) -> None:
    """End the halts and let the partitions be read again from the beginning of what Kafka has."""
    async with connection.transaction():
        for one in which:
            assert one.log is not None, "consequences() has said so"
            await connection.execute(_SQL["reread"], one.topic, one.partition, one.log[0])
            await connection.execute(_SQL["forget_dead_letters"], one.topic, one.partition)
            if one.kind == "recreated" and one.topic == catalog_topic(prefix):
                await connection.execute(_SQL["forget_installation"])
            await connection.execute(_SQL["end_halt"], one.topic, one.partition)
