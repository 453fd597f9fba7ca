"""What the sender knows about a session's streams, kept beside its segments for the next sender.

``progress.json`` is written before the position behind what it tells is acknowledged, so it is never behind
the ``ack`` file; where it is ahead, records that are read again change nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from zlib import crc32

import orjson

from runstone.events.types import (
    Event,
    RangeDeclared,
    RunEnded,
    RunJoined,
    RunStarted,
    SessionEnded,
    from_json,
)
from runstone.exceptions import MalformedEnvelopeError
from runstone.spool.reader import Damage, EventRecord, Item, Record
from runstone.spool.refused import Refused

_TOLD: Final = tuple(
    b'{"type":"%s"' % event.TYPE.encode() for event in (RunStarted, RunEnded, RunJoined, SessionEnded)
)
_DECLARED: Final = b'{"type":"range_declared"'


class Lost(NamedTuple):
    """Seqs that will never come: ``n`` from ``first_seq`` of a stream.

    ``kind`` as in the contract: ``damaged``, or ``dropped`` where the process had no time to declare it.
    """

    stream: str
    first_seq: int
    n: int
    kind: str = "damaged"


@dataclass(slots=True)
class StreamProgress:
    """Attributes:
    next_seq: behind the last record read.
    owned: this session started the run.
    status: with which it ended the run itself, or its part in it; None where it did not.
    left: it had joined the run, and has said that its part has ended.
    """

    next_seq: int = 0
    owned: bool = False
    status: str | None = None
    left: bool = False


@dataclass(slots=True)
class Progress:
    """Attributes:
    damaged: something the session wrote could not be read.
    closed: the last that was read is the writer's END, so nothing can be missing behind it.
    written_ms: when the latest record was written that a sender has read, 0 where none was.
    blind: what came before is not known (its file is lost), so a stream may begin with any seq.
    changed: it must be saved before the position moves past what was read last.
    """

    damaged: bool = False
    closed: bool = False
    written_ms: int = 0
    blind: bool = False
    streams: dict[str, StreamProgress] = field(default_factory=dict)
    changed: bool = False

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Progress | None":
        """The inverse of `to_json`; None where *found* is nothing that it writes, because it was damaged.

        Earlier senders wrote neither ``crc`` nor ``written_ms``.
        """
        if "crc" in found and found["crc"] != _crc(found):
            return None
        try:
            streams = {
                name: StreamProgress(said["next_seq"], said["owned"], said["status"], name in found["left"])
                for name, said in found["streams"].items()
            }
            if all(
                type(s.next_seq) is int and s.next_seq >= 0 and isinstance(s.status, str | None)
                for s in streams.values()
            ):
                return cls(
                    damaged=bool(found["damaged"]),
                    closed=bool(found["closed"]),
                    written_ms=int(found.get("written_ms", 0)),
                    streams=streams,
                )
        except (AttributeError, KeyError, TypeError, ValueError):
            pass
        return None

    def to_json(self, next_seqs: Mapping[str, int]) -> dict[str, Any]:
        """What the next sender must know; *next_seqs*: behind what was acknowledged."""
        found: dict[str, Any] = {
            "damaged": self.damaged,
            "closed": self.closed,
            "written_ms": self.written_ms,
            "left": [name for name, s in self.streams.items() if s.left],
            "streams": {
                name: {"next_seq": next_seqs.get(name, 0), "owned": s.owned, "status": s.status}
                for name, s in self.streams.items()
            },
        }
        found["crc"] = _crc(found)
        return found

    def note(self, items: Iterable[Item]) -> list[Lost]:
        """Take note of what was read; the seqs that are missing before it.

        A range that the client dropped is no loss: its declaration is the first record behind it.
        """
        lost: list[Lost] = []
        for item in items:
            if isinstance(item, Damage):
                self.damaged = self.changed = True
                continue
            stream = self.streams.get(item.stream)
            if stream is None:
                stream = self.streams[item.stream] = StreamProgress(item.first_seq if self.blind else 0)
                self.changed = True
            if item.first_seq > stream.next_seq:
                missing = _undeclared(item, stream.next_seq)
                if missing:
                    lost.append(Lost(item.stream, stream.next_seq, missing))
                    self.damaged = self.changed = True
            stream.next_seq = max(stream.next_seq, item.first_seq + item.n)
            if isinstance(item, EventRecord) and item.payload.startswith(_TOLD):
                self._note_event(stream, _event(item))
        return lost

    def _note_event(self, stream: StreamProgress, event: Event | None) -> None:
        before = stream.status, stream.left, stream.owned
        match event:
            case RunStarted():
                stream.status, stream.left, stream.owned = None, False, True
            case RunEnded():
                stream.status, stream.left = event.status, False
            case SessionEnded() if not stream.owned:
                stream.status, stream.left = event.status, True
            case RunJoined() if stream.left:
                stream.status, stream.left = None, False
        self.changed |= before != (stream.status, stream.left, stream.owned)

    def note_end(self, *, closed: bool) -> None:
        """Whether what was read last is the writer's END."""
        self.changed |= self.closed != closed
        self.closed = closed

    def replay(self, items: Iterable[Item]) -> None:
        """Take note of what was acknowledged before: it may be damaged by now, and nothing of it is lost."""
        for item in items:
            if not isinstance(item, Damage):
                stream = self.streams.setdefault(item.stream, StreamProgress())
                stream.next_seq = max(stream.next_seq, item.first_seq)
                self.note([item])

    def rewind(self, next_seqs: Mapping[str, int]) -> None:
        """Be as it was when *next_seqs* came next in each stream: what came after is read again."""
        for name, stream in self.streams.items():
            stream.next_seq = next_seqs.get(name, 0)

    def note_refused(self, refused: Iterable[Refused]) -> list[Lost]:
        """What the process refused and had no time to declare, all it wrote having been read."""
        lost: list[Lost] = []
        for name, first_seq, n in refused:
            stream = self.streams.setdefault(name, StreamProgress())
            if first_seq + n <= stream.next_seq:
                continue  # it was declared, and only this note of it was not taken back any more
            if first_seq > stream.next_seq:
                lost.append(Lost(name, stream.next_seq, first_seq - stream.next_seq))
                self.damaged = True
            lost.append(Lost(name, first_seq, n, "dropped"))
        return lost


def _undeclared(item: Record, next_seq: int) -> int:
    """How many of the seqs from *next_seq* up to *item* are missing and not declared by *item* itself."""
    if isinstance(item, EventRecord) and item.payload.startswith(_DECLARED):
        said = _event(item)
        if isinstance(said, RangeDeclared) and said.first_seq + said.count == item.first_seq:
            return max(0, said.first_seq - next_seq)
    return item.first_seq - next_seq


def _event(record: EventRecord) -> Event | None:
    """What a record says; None where that is not as the contract says, and tells nothing here either."""
    try:
        return from_json(orjson.loads(record.payload))
    except (orjson.JSONDecodeError, MalformedEnvelopeError):
        return None


def _crc(found: Mapping[str, Any]) -> int:
    """CRC-32 of what the file says beside it."""
    rest = {name: value for name, value in found.items() if name != "crc"}
    return crc32(orjson.dumps(rest, option=orjson.OPT_SORT_KEYS))
