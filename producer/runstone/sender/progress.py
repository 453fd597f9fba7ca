"""What the sender knows about a session's streams, kept beside its segments for the next sender.

``progress.json`` is written before the position behind what it tells is acknowledged, so it is never behind
the ``ack`` file; where it is ahead, records that are read again change nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from runstone.spool.reader import Damage, EventRecord, Item

_STARTED: Final = b'{"type":"run_started"'
_ENDED: Final = b'{"type":"run_ended"'


class Lost(NamedTuple):
    """Seqs that damage took: ``n`` from ``first_seq`` of a stream."""

    stream: str
    first_seq: int
    n: int


@dataclass(slots=True)
class StreamProgress:
    """Attributes:
    next_seq: behind the last record read.
    owned: this session started the run.
    status: with which it ended the run itself; None where it did not.
    """

    next_seq: int = 0
    owned: bool = False
    status: str | None = None


@dataclass(slots=True)
class Progress:
    """Attributes:
    damaged: something the session wrote could not be read.
    changed: it must be saved before the position moves past what was read last.
    """

    damaged: bool = False
    streams: dict[str, StreamProgress] = field(default_factory=dict)
    changed: bool = False
    _suspects: set[str] = field(default_factory=set)
    _suspect_new: bool = False

    @classmethod
    def from_json(cls, found: dict[str, Any] | None) -> "Progress":
        """The inverse of `to_json`; a fresh one for None."""
        if not found:
            return cls()
        return cls(
            bool(found.get("damaged")),
            {name: StreamProgress(**stream) for name, stream in found.get("streams", {}).items()},
        )

    def to_json(self) -> dict[str, Any]:
        """What the next sender must know."""
        return {
            "damaged": self.damaged,
            "streams": {
                name: {"next_seq": s.next_seq, "owned": s.owned, "status": s.status}
                for name, s in self.streams.items()
            },
        }

    def note(self, items: Iterable[Item]) -> list[Lost]:
        """Take note of what was read; the seqs that are missing behind damage.

        A jump in the seqs without damage is a range the client dropped, which it declares itself.
        """
        lost: list[Lost] = []
        for item in items:
            if isinstance(item, Damage):
                self.damaged = self.changed = self._suspect_new = True
                self._suspects = set(self.streams)
                continue
            stream = self.streams.get(item.stream)
            if stream is None:
                stream = self.streams[item.stream] = StreamProgress()
                self.changed = True
                if self._suspect_new:
                    self._suspects.add(item.stream)
            if item.first_seq > stream.next_seq and item.stream in self._suspects:
                lost.append(Lost(item.stream, stream.next_seq, item.first_seq - stream.next_seq))
            self._suspects.discard(item.stream)
            stream.next_seq = max(stream.next_seq, item.first_seq + item.n)
            if isinstance(item, EventRecord):
                if item.payload.startswith(_ENDED):
                    stream.status = str(orjson.loads(item.payload).get("status"))
                    self.changed = True
                elif item.payload.startswith(_STARTED):
                    stream.status, stream.owned = None, True
                    self.changed = True
        return lost
