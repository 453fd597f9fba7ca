"""One run, as the training code holds it: how it begins and ends. What can be logged to it is in its bases.

Any thread may call; the session's writer puts the calls in order. No call waits for a network. After a fork
the child's calls go on in a session of the child's own, as one that joined the run.
"""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from runstone import lifetime
from runstone.context import quick_context
from runstone.events.types import Event, RunContext, RunEnded, RunJoined, SessionEnded, from_json, to_json
from runstone.exceptions import InvalidInputError, MalformedEnvelopeError
from runstone.inputs import checked_status, text
from runstone.logged_tables import Tables
from runstone.points import Points
from runstone.run_files import LoggedFiles, RunFiles
from runstone.run_reading import RunReading
from runstone.run_stream import Identity, now_ms
from runstone.spool.session import Session


class Run(Points, RunFiles, RunReading):
    """A run that this process writes to; made by ``start_run``, ended by ``end`` or by leaving ``with``.

    Attributes:
        run_id: 32 hexadecimal digits.
        experiment_id: a number that needs no server.
        name: as shown to people.
        ended: whether this process has ended it.
        inherited: whether another process, the parent of this one or whoever, has opened it.
        entered: whether a ``with`` block of it was entered.
        thread: the ident of the thread that opened it.
        apart: whether it is the active run of nobody but the thread that started it.
    """

    def __init__(self, identity: Identity, session: Session, *, rank: int, owned: bool, strict: bool) -> None:
        super().__init__(identity, session, rank=rank, owned=owned, strict=strict)
        self._files = LoggedFiles()

    def __repr__(self) -> str:
        return f"<Run {self.name!r} {self.run_id}{' ended' * self.ended}>"

    def __enter__(self) -> Self:
        self.entered = True
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled for another process, or copied: there it is joined, here it is the same run."""
        from runstone.client import joined  # noqa: PLC0415  # the client knows runs

        return joined, (self._session.uri, (self.run_id, self.experiment_id, self.name))

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if cls is None:
            self.end()
        elif isinstance(error, SystemExit):
            reason = lifetime.exit_reason(error.code)
            self.end("FAILED" if reason else "FINISHED", reason)
        else:
            self.end("FAILED", lifetime.describe(error, cls))

    def end(self, status: str = "FINISHED", reason: str = "") -> None:
        """End the run: FINISHED, FAILED or KILLED. Ended already: nothing happens.

        A process that joined the run (a rank above 0, a child after a fork) says that its part has ended.
        """
        checked_status(status)
        if self.ended:
            return
        self.conclude(status, reason)
        self._session.writer.close(self._stream)
        self.ended = True
        self._files.tables = Tables()
        lifetime.closed(self)

    def conclude(self, status: str = "FINISHED", reason: str = "") -> None:
        """Say how the run ended without closing it: what is logged after the process's exit hook is kept.

        Args:
            status: FINISHED, FAILED or KILLED.
            reason: why it failed.
        """
        if self._stream.closed:  # another client of this process may have ended it
            return
        self._count_lost(self._files.lost.rest())
        why = text(reason, lifetime.REASON_MOST)[0]
        if self._owned:
            self._event(RunEnded(status, now_ms(), why))
        elif self._stream.next_seq:  # one that joined ends its own part only, if it wrote anything
            self._event(SessionEnded(self._session.session, status, now_ms(), why))

    def forked(self) -> None:
        """This process is a child of the one that opened the run: it joins, with a session of its own."""
        self.inherited = True
        self._owned = False
        self._files = LoggedFiles(images=self._files.images)
        self._stream.prologue = lambda: RunJoined(now_ms(), quick_context(self._rank))

    def begin(self, events: Iterable[Event]) -> None:
        """Append the run's first events of this process: it was started, resumed or joined here."""
        self._session.writer.reopen(self._stream)
        for event in events:
            self._event(event)

    def record(self, events: Iterable[Event]) -> None:
        """Append events of the contract as they are; for adapters to other programs' calls.

        Raises:
            InvalidInputError: one is not as the contract says, and none was appended; or it is larger than an
                event may be, and those before it were.
            RunEndedError: the run has ended.
        """
        checked = list(events)
        for event in checked:
            try:
                from_json(to_json(event))
            except MalformedEnvelopeError as wrong:
                raise InvalidInputError(f"this cannot be recorded: {wrong}") from None
        for event in checked:
            self._event(event)

    @property
    def appended(self) -> int:
        """How many records this process has appended to the run, and uploads it has ordered for it."""
        return self._stream.next_seq + self._files.uploaded

    def add_context(self, facts: Mapping[str, Any]) -> None:
        """Append facts that were found out later; the run may have ended by then."""
        self._session.writer.event(self._stream, RunContext(facts), late=True)
