"""Moves what sessions have written to their destinations, in rounds, with bounded memory.

A round reads at most one slab of each session, puts the events of shared runs in order, packs, and submits
to the publishers. A session has at most `SLABS_MOST` slabs that are not acknowledged: while one is on its
way the next is made, so an idle spool is published at once and a busy one in large envelopes, without a
timer to tune. A slab is complete when each of its envelopes is acknowledged (or refused for good, and the
broker has the declaration of that); the session's acknowledged position moves over complete slabs only.

Everything runs on the sender's loop: rounds from one task, completions as callbacks of the publisher's
futures. Nothing is ever waited for here, so one destination that is away does not hold up another.
"""

import asyncio
import logging
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final

from runstone.events.limits import MIB
from runstone.sender.adoption import Outstanding, Session
from runstone.sender.interleaving import interleave
from runstone.sender.link import Link
from runstone.sender.liveness import declaration
from runstone.sender.packing import Packed, halves, pack_records
from runstone.sender.publisher import RecordRefused
from runstone.sender.rejections import reject_envelope
from runstone.sender.tail import SLAB_LEAST, SLAB_MOST, Slab
from runstone.sender.waking import Waking
from runstone.spool.layout import MachineFolder
from runstone.spool.reader import Damage, Record

log = logging.getLogger(__name__)

SLABS_MOST: Final = 2
OUTSTANDING_MOST: Final = 4 * MIB
"""Bytes of spool that are read and not acknowledged, of all sessions; in memory they are JSON, a bit less,
and for what is being sent twice that again in aiokafka's buffers. Destinations share them equally, and a
session that has nothing on its way may read a small slab in any case: so neither a destination nor a
partition that is away holds up another one."""

ROUND_MOST: Final = MIB
"""Bytes a round reads: acknowledgements are handled between rounds, and their files written."""


@dataclass(slots=True)
class Sent:
    """What was acknowledged, or refused for good: records, and the bytes they took in the spool."""

    records: int = 0
    size: int = 0


class Delivery:
    """The rounds; `sessions` are those that are to be delivered."""

    def __init__(self, folder: MachineFolder, waking: Waking) -> None:
        self._folder = folder
        self._waking = waking
        self._turn = 0
        self.sessions: dict[str, Session] = {}
        self.sent = Sent()
        self._outstanding: Counter[Link] = Counter()

    def ready_to_read(self) -> bool:
        """Whether there is a session, or could be one, of which a round would read what comes."""
        return not self.sessions or any(map(self._readable, self.sessions.values()))

    def something_to_read(self) -> bool:
        """Whether a round would find something: asked before sleeping."""
        return any(self._readable(session) and session.tail.has_more() for session in self.sessions.values())

    def round(self) -> int:
        """Read, pack and submit once; the bytes read."""
        began = time.time_ns() // 1_000_000
        streams: dict[tuple[Link, str], list[tuple[Outstanding, Session, list[Record]]]] = defaultdict(list)
        taken: list[tuple[Session, Outstanding]] = []
        size = 0
        self._turn += 1
        turn = self._turn % max(1, len(self.sessions))
        order = list(self.sessions.values())
        for session in (*islice(order, turn, None), *islice(order, turn)):
            if size >= ROUND_MOST:
                break
            if not self._readable(session) or not (session.tail.has_more() or not session.alive):
                continue
            try:
                slab = session.tail.read(self._room(session), final=not session.alive)
            except Exception as wrong:
                # Whatever is wrong with one session, the others go on.
                log.warning(
                    "session %s cannot be read now: %r", session.id, wrong,
                    exc_info=not isinstance(wrong, OSError),
                )  # fmt: skip
                session.broken = True
                continue
            if slab is None:
                continue
            size += slab.size
            assert session.link is not None
            # One more than there are envelopes, until all are submitted.
            outstanding = Outstanding(slab.end, slab.size, 1)
            session.outstanding.append(outstanding)
            self._outstanding[session.link] += slab.size
            taken.append((session, outstanding))
            self._declare_lost(session, outstanding, slab, began)
            session.progress.note_end(closed=slab.closed)
            outstanding.next_seqs = {
                item.stream: session.progress.streams[item.stream].next_seq
                for item in slab.items
                if not isinstance(item, Damage)
            }
            for stream, records in _by_stream(slab).items():
                streams[session.link, stream].append((outstanding, session, records))
        for (link, stream), parts in streams.items():
            for (outstanding, session), records in interleave([((o, s), r) for o, s, r in parts]):
                for packed in pack_records(session.id, stream, records):
                    self._submit(session, outstanding, link, packed)
        for session, outstanding in taken:
            self._complete(session, outstanding)
        return size

    def discard(self, session: Session) -> None:
        """Forget what a session has outstanding, before it begins again or goes."""
        if session.link is not None:
            self._arrived(session.link, sum(o.size for o in session.outstanding))
        session.outstanding.clear()

    def _readable(self, session: Session) -> bool:
        return (
            session.link is not None
            and not session.broken
            and len(session.outstanding) < SLABS_MOST
            and not session.tail.finished
            and (not session.outstanding or self._room(session) > SLAB_LEAST)
        )

    def _room(self, session: Session) -> int:
        """How many bytes of a session may be read now."""
        link = session.link
        assert link is not None
        sharing = len(self._outstanding) + (link not in self._outstanding)
        return SLAB_MOST if self._outstanding[link] < OUTSTANDING_MOST // sharing else SLAB_LEAST

    def _arrived(self, link: Link, size: int) -> None:
        self._outstanding[link] -= size
        if self._outstanding[link] <= 0:
            del self._outstanding[link]

    def _declare_lost(self, session: Session, outstanding: Outstanding, slab: Slab, now_ms: int) -> None:
        assert session.link is not None
        for lost in session.progress.note(slab.items):
            log.error("session %s: %d records of %s are damaged", session.id, lost.n, lost.stream)
            outstanding.pending += 1
            _seq, said = session.link.say(lost.stream, declaration(session.id, lost, now_ms))
            said.add_done_callback(partial(self._settled, session, outstanding, session.link, None))

    def _submit(self, session: Session, outstanding: Outstanding, link: Link, packed: Packed) -> None:
        outstanding.pending += 1
        offset = link.submit(packed)
        offset.add_done_callback(partial(self._settled, session, outstanding, link, packed))

    def _settled(
        self,
        session: Session,
        outstanding: Outstanding,
        link: Link,
        packed: Packed | None,
        offset: "asyncio.Future[int]",
    ) -> None:
        if session.link is not link or offset.cancelled():
            return
        fault = offset.exception()
        if isinstance(fault, RecordRefused) and packed is not None and (smaller := halves(packed)):
            # Only some of its records, or only their sum, may be too large.
            for half in smaller:
                self._submit(session, outstanding, link, half)
            self._complete(session, outstanding)
            return
        if isinstance(fault, RecordRefused) and packed is not None:
            declared = reject_envelope(self._folder, packed, str(fault))
            _seq, said = link.say(packed.stream, declared)
            said.add_done_callback(partial(self._settled, session, outstanding, link, None))
            return
        if fault is None or isinstance(fault, RecordRefused):
            self.sent.records += packed.n if packed else 0
            self._complete(session, outstanding)

    def _complete(self, session: Session, outstanding: Outstanding) -> None:
        outstanding.pending -= 1
        if outstanding.pending:
            return
        assert session.link is not None
        before = sum(o.size for o in session.outstanding)
        try:
            session.advance()
        except OSError as wrong:
            # It is tried again twice a second; a sender that starts meanwhile sends a little twice.
            log.warning("session %s: the acknowledged position cannot be written: %s", session.id, wrong)
        size = before - sum(o.size for o in session.outstanding)
        self.sent.size += size
        self._arrived(session.link, size)
        self._waking.stir()


def _by_stream(slab: Slab) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for item in slab.items:
        if not isinstance(item, Damage):
            found.setdefault(item.stream, []).append(item)
    return found
