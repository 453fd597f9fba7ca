"""Takes records in topic order: which seqs are new, and what is counted."""

from collections.abc import Iterator
from typing import Any

from runstone.events import CATALOG, Envelope
from runstone_ingest.plain_model import catalog, streams
from runstone_ingest.plain_model.points import Point, derived
from runstone_ingest.records import Admitted, DeadLetter

Content = dict[str, dict[tuple[Any, ...], Any]]
"""Table -> key of a row -> what the row says. Equal contents are equal dictionaries; floats are texts."""


class PlainModel:
    """A whole read model."""

    def __init__(self) -> None:
        self._streams: dict[str, streams.Stream] = {}
        self._catalog = catalog.Catalog()
        self._partitions: dict[tuple[str, int], dict[str, int]] = {}
        self._dead: set[tuple[str, int, int]] = set()

    def apply(self, item: Admitted | DeadLetter) -> None:
        """The next record of its partition."""
        record = item.record
        counts = self._partitions.setdefault(
            (record.topic, record.partition), {"next_offset": 0, "records": 0, "duplicates": 0, "dead": 0}
        )
        counts["next_offset"] = record.offset + 1
        counts["records"] += 1
        if isinstance(item, DeadLetter):
            counts["dead"] += 1
            self._dead.add((record.topic, record.partition, record.offset))
            if item.address is not None and item.accountable:
                stream = self._stream(item.address.stream)
                stream.session(item.address.session).expect(item.address.first_seq + item.address.n)
        elif not self._apply(item.envelope, record.partition, record.offset):
            counts["duplicates"] += 1

    def _apply(self, envelope: Envelope, partition: int, offset: int) -> bool:
        """Apply what is new; whether anything was."""
        stream = self._stream(envelope.stream)
        session = stream.session(envelope.session)
        anything = False
        for seq, event in enumerate(_in_order(envelope), envelope.first_seq):
            if seq in session.seen:
                continue
            session.seen.add(seq)
            anything = True
            if envelope.stream == CATALOG:
                self._catalog.apply(event)
            else:
                stream.apply(envelope.session, event, partition, offset)
        return anything

    def _stream(self, name: str) -> streams.Stream:
        return self._streams.setdefault(name, streams.Stream(name))

    def content(self, stream: str) -> Content:
        """What is known of a run's or a logged model's stream, and of its sessions."""
        return self._stream(stream).content() | derived(self._stream(stream).series, self._status(stream))

    def _status(self, stream: str) -> str:
        run = self._stream(stream).run
        return run["status"] if run else "RUNNING"

    def streams(self) -> list[str]:
        """Every stream that has been heard of, without the catalog."""
        return sorted(self._streams.keys() - {CATALOG})

    def catalog(self) -> Content:
        """Experiments, registered models, verdicts, the installation, and the catalog's sessions."""
        return self._catalog.content() | self._stream(CATALOG).content()

    def partitions(self) -> Content:
        """What was counted in each partition, and where the dead letters lie."""
        return {
            "ingest_partitions": {key: tuple(counts.values()) for key, counts in self._partitions.items()},
            "dead_letters": dict.fromkeys(self._dead, ()),
        }


def _in_order(envelope: Envelope) -> Iterator[Any]:
    """The envelope's records one by one, a `Point` for each point of a single call."""
    p = envelope.points
    events = dict(zip(envelope.index, envelope.events, strict=True))
    points = (Point(p.keys[k], s, t, v) for k, s, t, v in zip(p.k, p.s, p.t, p.v, strict=True))
    for index in range(envelope.n):
        yield events[index] if index in events else next(points)
