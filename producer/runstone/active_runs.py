"""Which run is the active one.

The active run is a context variable (each thread and each asyncio task has its own), else the run that the
client started last in the process and that has not ended. Of those the ones do not count that another thread
nested in a run which it found that way: threads that each nest a run in the same one are siblings.
"""

import threading
from contextvars import ContextVar
from os import PathLike

from runstone import handover, notices
from runstone.joining import Joining
from runstone.run import Run


class ActiveRuns(Joining):
    """A stack of runs for each context."""

    def __init__(self, tracking_uri: str | None, spool: str | PathLike[str] | None) -> None:
        super().__init__(tracking_uri, spool)
        self._stack: ContextVar[tuple[Run, ...]] = ContextVar("runstone_active_runs", default=())

    def active_run(self) -> Run | None:
        """The run of this context, else the one this process started last and has not ended, else None."""
        for run in reversed(self._stack.get()):
            if not run.ended:
                return run
        for run in reversed(self._open):
            if not run.ended and not run.apart:
                return run
        return None if self._asked_parent else self._join_parents()

    def handed_over(self) -> tuple[str, handover.Handed] | None:
        """What children of multiprocessing learn: the tracking URI and the run that is active here."""
        run = self.active_run()
        if run is None:
            return None
        return self._configuration().tracking_uri, handover.Handed(run.run_id, run.experiment_id, run.name)

    def _activate(self, run: Run) -> None:
        """It is the active run of this context."""
        self._stack.set((*(other for other in self._stack.get() if not other.ended), run))

    def _end_left_open(self) -> None:
        """End what this thread has left open: a notebook may run each cell in a context of its own."""
        thread = threading.get_ident()
        for run in reversed(self._open):
            if run.thread == thread and not (run.ended or run.inherited or run.entered):
                run.end()
                notices.say(f"run {run.name or run.run_id!r} has been ended, because another one is started")

    def _is_apart(self) -> bool:
        """Whether a nested run is one of several that threads of their own may nest in the active one."""
        own = [run for run in self._stack.get() if not run.ended]
        return own[-1].apart if own else self.active_run() is not None
