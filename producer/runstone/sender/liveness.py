"""Says in each run that a process wrote to that the process is gone, once all it said is acknowledged.

Published under the sender's own session, which has then said what it had to say in that run, and ends there
as well. What becomes of a run is the projector's to decide: an explicit end of the run wins, else the owner's
end counts, with the status given here. A process that had joined a run and left it has said so itself.
It says when the sender saw the process gone, however long the end waits to be published. Where the process
was gone before a sender came, as on an offline machine, all that is known is when it wrote its last record.
``ended/<run id>`` remembers what has been published, so that a new sender does not repeat it.
"""

import asyncio
import logging
import signal
import time
from pathlib import Path
from urllib.parse import quote

from runstone.events.envelope import CATALOG
from runstone.events.types import RangeDeclared, SessionEnded
from runstone.sender.adoption import Session
from runstone.sender.progress import Lost, StreamProgress
from runstone.sender.publisher import PublisherClosed
from runstone.spool.refused import read_refused

log = logging.getLogger(__name__)


async def end_session(session: Session) -> None:
    """Publish the end of *session*, which must be drained, and remember it; sets ``ended``.

    Where the disk does not take down what was published, ``broken`` is set, and the next call does not
    publish it again.
    """
    link = session.link
    assert link is not None
    cause = _cause(session.folder.cause)
    now = time.time_ns() // 1_000_000
    gone = session.gone_ms or session.written_ms or now
    said: list[tuple[str | None, asyncio.Future[int]]] = []
    try:
        session.folder.ended.mkdir(exist_ok=True)
        undeclared = session.progress.note_refused(read_refused(session.folder.refused))
        for stream, progress in session.progress.streams.items():
            if stream in session.ended_in or _marker(session, stream).exists():
                continue
            said += [
                (None, link.say(stream, declaration(session.id, lost, now))[1])
                for lost in undeclared
                if lost.stream == stream
            ]
            if stream == CATALOG or (progress.left and session.clean):
                continue
            status, reason = outcome(progress, cause)
            event = SessionEnded(session.id, status, gone, reason, clean=session.clean)
            own = SessionEnded(link.session, "FINISHED", now)
            said.append((stream, link.say(stream, event, own)[1]))
        for ended, offset in said:
            await offset
            if ended is not None:
                session.ended_in.add(ended)
        for stream in session.ended_in:
            _marker(session, stream).touch()
    except (PublisherClosed, OSError) as wrong:
        # Another installation answers at this address now, or the disk is full; tried again in a moment.
        log.info("the end of session %s waits: %s", session.id, wrong)
        session.broken = True
        return
    finally:
        session.ending = False
    session.ended = True
    log.info("session %s has ended in %d streams", session.id, len(session.ended_in))


def _marker(session: Session, stream: str) -> Path:
    return session.folder.ended / quote(stream, safe="")


def declaration(session: str, lost: Lost, now_ms: int) -> RangeDeclared:
    """The event that says what will never come."""
    reason = {"damaged": "unreadable in the spool", "dropped": "the spool had no room"}[lost.kind]
    return RangeDeclared(session, lost.first_seq, lost.n, lost.kind, now_ms, reason)


def outcome(progress: StreamProgress, cause: int) -> tuple[str, str]:
    """Status and reason of a session's end in one run.

    Args:
        progress: what is known of the run.
        cause: the number of the signal that ended the process, 0 where it left no word.
    """
    if progress.status is not None:
        return progress.status, "the process ended after it had ended the run"
    if cause:
        try:
            name = signal.Signals(cause).name
        except ValueError:
            name = f"signal {cause}"
        return "KILLED", f"the process was ended by {name}"
    if not progress.owned:
        # Its status is nobody's. A worker of a pool ends so, however well it did: it cannot say anything.
        return "FAILED", "the process, which had joined the run, has ended"
    return "FAILED", "the process ended without ending the run"


def _cause(path: Path) -> int:
    try:
        return path.read_bytes()[0]
    except (OSError, IndexError):
        return 0
