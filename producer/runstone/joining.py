"""Runs that another process has started: a parent's, handed over to its child, or one that is joined by name.

A child of multiprocessing without a run of its own logs to the one that was active where it was started, see
`handover`.
"""

from abc import ABC, abstractmethod
from os import PathLike

from runstone import handover, lifetime
from runstone.context import quick_context
from runstone.events.types import RunJoined
from runstone.open_runs import OpenRuns
from runstone.run import Run
from runstone.run_stream import Identity, now_ms


class Joining(OpenRuns, ABC):
    """Asks once what the parent has handed over."""

    def __init__(self, tracking_uri: str | None, spool: str | PathLike[str] | None) -> None:
        super().__init__(tracking_uri, spool)
        self._handed: handover.Handed | None = None
        self._asked_parent = False

    @abstractmethod
    def handed_over(self) -> tuple[str, handover.Handed] | None:
        """What children of multiprocessing learn."""

    def _from_parent(self) -> handover.Handed | None:
        """The run that this process, a child of multiprocessing, was handed over by its parent."""
        if not self._asked_parent:
            self._handed = handover.received(self._configuration().tracking_uri)
            self._asked_parent = self._handed is not None
        return self._handed

    def _join_parents(self) -> Run | None:
        """Join the run that was active where this process was started; None where there was none."""
        with self._lock:
            if self._asked_parent or self._from_parent() is None:
                return None
            assert self._handed is not None
            return self.join(Identity(*self._handed))

    def join(self, identity: Identity) -> Run:
        """Log to a run that another process has started; it is active here, and is not ended at exit.

        Args:
            identity: id, experiment and name, as the other process has them.
        """
        with self._lock:
            known = self._unended(identity.run_id)
            if known is not None:
                return known
            configuration = self._configuration()
            session = self._opened()
            run = Run(identity, session, rank=configuration.rank, owned=False, strict=configuration.strict)
            run.inherited = True
            run.begin([RunJoined(now_ms(), quick_context(configuration.rank))])
            self._keep(run)
        lifetime.opened(run)
        handover.offer(self)
        session.launcher.check()
        return run
