"""Counts the topics' records once more: by their headers alone, so that no value need be read. Pure.

What the worker's marks and counters must say follows from it: which seqs of which session have come, which
records brought nothing new. Values are decoded only where they declare that something will not come.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from runstone.events import decode
from runstone.events.types import RangeDeclared
from runstone_ingest import dead_letters
from runstone_ingest.marks import Mark
from runstone_ingest.records import Admitted, DeadLetter, Record

_DECLARES: Final = b'"range_declared"'

Place = tuple[str, int]
"""A topic and the number of a partition."""


@dataclass(slots=True)
class Counted:
    """What one partition holds; ``last`` is the record before the offset that the read model stands at."""

    records: int = 0
    duplicates: int = 0
    dead: int = 0
    last: Record | None = None


@dataclass(slots=True)
class Accounting:
    """Counts for one read model, whose dead letters are *dead*: (topic, partition, offset)."""

    dead: AbstractSet[tuple[str, int, int]]
    catalog: str
    partition_of: dead_letters.PartitionOf
    partitions: dict[Place, Counted] = field(default_factory=dict)
    marks: dict[tuple[str, str], Mark] = field(default_factory=dict)

    def take(self, record: Record) -> None:
        """The next record of its partition."""
        counted = self.partitions.setdefault((record.topic, record.partition), Counted())
        counted.records += 1
        counted.last = record
        if record[:3] in self.dead:
            counted.dead += 1
            letter = self.letter(record)
            if letter.address is not None and letter.accountable:
                session, stream, first_seq, n = letter.address
                self._mark(stream, session).leave_out(first_seq + n)
            return
        headers = dict(record.headers)
        stream, session = headers["stream"].decode(), headers["session"].decode()
        first_seq = int(headers["first_seq"])
        if not self._mark(stream, session).claim(first_seq, first_seq + int(headers["n"])):
            counted.duplicates += 1
        if _DECLARES in (record.value or b""):
            for event in decode(record.value or b"").events:
                if isinstance(event, RangeDeclared):
                    self._mark(stream, event.session).leave_out(event.first_seq + event.count)

    def letter(self, record: Record) -> DeadLetter:
        """The dead letter that *record* is, though today it might be none."""
        item = self.judge(record)
        if isinstance(item, DeadLetter):
            return item
        return DeadLetter(record, "", dead_letters.address_of(item.envelope), accountable=True)

    def judge(self, record: Record) -> Admitted | DeadLetter:
        """*record* as the contract has it."""
        return dead_letters.admit(record, record.topic == self.catalog, self.partition_of)

    def _mark(self, stream: str, session: str) -> Mark:
        found = self.marks.get((stream, session))
        if found is None:
            found = self.marks[stream, session] = Mark()
        return found
