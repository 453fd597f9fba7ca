"""What this process has written through the plug-in: its runs, what it knows of them, and what is read yet.

One journal per server address and process, shared by the tracking store, the registry and the artifact
repositories. Any thread may call. Each run has a lock of its own, held while what is written is checked
against what was written before and appended; no lock is held while somebody waits for the server.

A run is *known* once this process has begun it, or has written to one that another process began; the latter
is asked for at the server first, where that answers. Its state as far as this process knows it:
``params``, ``datasets`` and ``tags`` (what may not change, what is there already, what can be deleted),
``status``, ``deleted``.
"""

import threading
from collections.abc import Iterable
from time import monotonic
from typing import Final

from mlflow.entities import Run as MlflowRun

from runstone import Client, lifetime
from runstone.context import quick_context
from runstone.events.types import Event, RunJoined, RunStarted
from runstone.run import Run
from runstone.run_stream import Identity, now_ms
from runstone_mlflow import failures
from runstone_mlflow.reachability import Reachability

READ_S: Final = 30.0
"""Seconds that a read waits for what this process wrote before it."""


class KnownRun:
    """A run as far as this process knows it; ``lock`` is held around checking and appending."""

    __slots__ = (
        "datasets", "deleted", "experiment_id", "lock", "name", "params", "point", "run", "seen",
        "start_time", "status", "tags", "user",
    )  # fmt: skip

    def __init__(self, run: Run, experiment_id: str, *, name: str = "", user: str = "") -> None:
        self.run = run
        self.point = run.log_point
        self.experiment_id = experiment_id
        self.name = name
        self.user = user
        self.start_time = 0
        self.status = "RUNNING"
        self.deleted = False
        self.params: dict[str, str] = {}
        self.tags: set[str] = set()
        self.datasets: set[tuple[str, str]] = set()
        self.lock = threading.RLock()
        self.seen = 0

    @property
    def unseen(self) -> bool:
        """Whether something was written that was not yet seen at the server."""
        return self.run.appended != self.seen


class Journal:
    """The runs that this process writes to at one server (*address*: http or https).

    Attributes:
        client: appends. reachable: whether the server answers now.
        announced: names of experiments that this process created while no server answered.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.client = Client(address)
        self.reachable = Reachability(address)
        self.announced: set[str] = set()
        self._runs: dict[str, KnownRun] = {}
        lifetime.watch(self)

    def forked(self) -> None:
        """In the child after a fork: other threads of the parent may have held the locks."""
        self.reachable.forked()
        for known in self._runs.values():
            known.lock = threading.RLock()
            known.seen = 0

    def get(self, run_id: str) -> KnownRun | None:
        """A run that this process has written to, else None."""
        return self._runs.get(run_id)

    def begin(self, identity: Identity, started: RunStarted, events: Iterable[Event] = ()) -> KnownRun:
        """A new run, which this process owns."""
        run = self.client.open_run(identity, [started, *events])
        known = KnownRun(run, str(identity.experiment_id), name=identity.name, user=started.user)
        self._runs[identity.run_id] = known
        return known

    def join(self, run_id: str, experiment_id: str, found: MlflowRun | None = None) -> KnownRun:
        """A run that another process began.

        Args:
            run_id: of the run.
            experiment_id: of the run.
            found: what the server knows of it; None where it could not be asked.
        """
        name = found.info.run_name or "" if found else ""
        run = self.client.open_run(
            Identity(run_id, int(experiment_id), name), [RunJoined(now_ms(), quick_context(-1))]
        )
        known = KnownRun(run, experiment_id, name=name)
        if found:
            known.user = found.info.user_id or ""
            known.start_time = found.info.start_time
            known.status = found.info.status
            known.deleted = found.info.lifecycle_stage == "deleted"
            known.params = dict(found.data.params)
            known.tags = set(found.data.tags)
            inputs = found.inputs.dataset_inputs if found.inputs else []
            known.datasets = {(each.dataset.name, each.dataset.digest) for each in inputs}
        return self._runs.setdefault(run_id, known)

    def mark_deleted(self, experiment_id: str, *, deleted: bool) -> None:
        """The runs of an experiment go and come with it."""
        for known in self._runs.values():
            if known.experiment_id == str(experiment_id):
                known.deleted = deleted

    def settle(self, run_id: str | None = None) -> None:
        """Wait until what this process wrote, to one run or to all, can be read.

        Raises:
            MlflowException: TEMPORARILY_UNAVAILABLE, where that is not so within `READ_S` seconds.
        """
        known = list(self._runs.values()) if run_id is None else [self._runs.get(run_id)]
        waiting = [each for each in known if each is not None and each.unseen]
        if not waiting:
            return
        if not self.reachable():
            raise failures.unread(
                f"no Runstone answers at {self.address}, so nothing can be read; what was logged lies in "
                "the spool and is delivered when one does"
            )
        deadline = monotonic() + READ_S
        for each in waiting:
            written = each.run.appended
            if not each.run.wait_until_queryable(max(0.0, deadline - monotonic())):
                raise failures.unread(
                    f"what this process logged to run {each.run.run_id} cannot be read at {self.address} "
                    f"yet, {READ_S:g} s after it was logged; it is kept and will be there later"
                )
            each.seen = written


_journals: Final[dict[str, Journal]] = {}
_lock: Final = threading.Lock()


def journal_of(address: str) -> Journal:
    """This process's journal for the server at *address*."""
    with _lock:
        if address not in _journals:
            _journals[address] = Journal(address)
        return _journals[address]
