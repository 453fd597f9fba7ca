"""A client: experiments, and how a run is started or resumed. What else it has is in its bases.

Clients share nothing but the process's sessions.
"""

import threading
from collections.abc import Iterable, Mapping
from os import PathLike
from time import monotonic
from typing import Any, Final

from runstone import handover, lifetime, notices
from runstone.client_reading import ClientReading
from runstone.configuration import Configuration
from runstone.context import program_name, quick_context
from runstone.events import limits
from runstone.events.envelope import CATALOG
from runstone.events.identity import DEFAULT_EXPERIMENT, experiment_id, new_run_id
from runstone.events.types import Event, ExperimentCreated, RunJoined, RunStarted
from runstone.exceptions import InvalidInputError
from runstone.fluent import Fluent
from runstone.inputs import checked_key, checked_name, checked_run_id, checked_status, clean, seconds, text
from runstone.run import Run
from runstone.run_stream import Identity, now_ms
from runstone.spool.forking import renew
from runstone.spool.session import Session
from runstone.texts import tag_events

FLUSH_S: Final = 30.0
"""Seconds that ``flush`` waits unless told otherwise."""


class Client(Fluent, ClientReading):
    """Runstone's calls, with a server and a spool of its own; ``import runstone`` has one for everybody."""

    def __init__(self, tracking_uri: str | None = None, *, spool: str | PathLike[str] | None = None) -> None:
        """A client; nothing is written and nobody is asked before the first run.

        Args:
            tracking_uri: the server's address; without it ``RUNSTONE_TRACKING_URI`` at the first use.
            spool: a folder on a local disk; without it ``RUNSTONE_SPOOL`` and its default.

        Raises:
            InvalidInputError: the address is no URL.
        """
        super().__init__(tracking_uri, spool)
        self._experiment: str | None = None
        self._announced: set[str] = set()
        self._adopted: list[Run] = []
        self._run_id_used = False
        lifetime.watch(self)

    def forked(self) -> None:
        """This process is a child: another thread of the parent may have held the lock."""
        renew(self._lock)
        self._announced = set()
        for run in self._adopted:
            run.forked()

    def set_experiment(self, name: str) -> None:
        """Runs that start from now on belong to experiment *name*; nobody needs to create it first.

        Raises:
            InvalidInputError: the name is empty, longer than 500 characters, or no text.
        """
        self._experiment = checked_name(name, "an experiment's name", limits.EXPERIMENT_NAME_MAX)

    def create_experiment(
        self, name: str, tags: Mapping[str, Any] | None = None, artifact_location: str = ""
    ) -> int:
        """Say that experiment *name* exists, without starting a run in it, and return its id.

        Where there is one of that name already it is that one, as it is.

        Args:
            name: its identity.
            tags: set at once; anything becomes its text.
            artifact_location: a URI below which MLflow's clients keep its files; without it the server's.

        Raises:
            InvalidInputError: the name is empty, longer than 500 characters, or no text; a tag's key is none.
        """
        checked = checked_name(name, "an experiment's name", limits.EXPERIMENT_NAME_MAX)
        found = {
            checked_key(key, "tag"): clean(str(value), limits.EXPERIMENT_TAG_VALUE_MAX)
            for key, value in (tags or {}).items()
        }
        with self._lock:
            session = self._opened()
            self._announced.add(checked)
            created = ExperimentCreated(checked, now_ms(), found, clean(artifact_location))
            session.writer.event(session.writer.stream(CATALOG), created)
        return experiment_id(checked)

    def start_run(
        self,
        run_name: str | None = None,
        tags: Mapping[str, Any] | None = None,
        experiment: str | None = None,
        run_id: str | None = None,
        *,
        nested: bool = False,
        parent_run_id: str | None = None,
    ) -> Run:
        """Start a run and make it the active one; as a context manager it is ended on leaving.

        At a prompt or in a notebook, where a cell may be run again, a run that is active is ended first.

        Args:
            run_name: shown to people; by default the program's name with the end of the run's id.
            tags: set at once.
            experiment: the experiment's name, else `set_experiment`, ``RUNSTONE_EXPERIMENT``, "Default".
            run_id: resumes that run as a new attempt. Without it ``RUNSTONE_RUN_ID`` names the run that the
                ranks of a job share: rank 0, or a process without rank, starts it, the others join it.
            nested: the active run becomes the parent of this one; needed where one is active.
            parent_run_id: another run, of any process, is the parent instead.

        Raises:
            InvalidInputError: a name, tag or id is not what it must be, or a run is active already.
        """
        with self._lock:
            configuration = self._configuration()
            parent = self._parent(nested, parent_run_id)
            chosen = self._choose_id(run_id, configuration, nested)
            name = self._name(run_name, chosen, resumed=run_id is not None)
            tagged = tag_events({} if tags is None else tags, strict=configuration.strict)
            inherited = self._experiment or configuration.experiment or DEFAULT_EXPERIMENT
            experiment_name = checked_name(
                inherited if experiment is None else experiment,
                "an experiment's name",
                limits.EXPERIMENT_NAME_MAX,
            )
            shared = run_id is None and chosen == self._shared_id(configuration)
            handed = self._from_parent()
            joins = shared and (configuration.rank > 0 or (handed is not None and handed.run_id == chosen))
            session = self._opened()
            run = Run(
                Identity(chosen, experiment_id(experiment_name), name),
                session,
                rank=configuration.rank,
                owned=not joins,
                strict=configuration.strict,
            )
            run.apart = nested and self._is_apart()
            self._announce(session, experiment_name)
            first = self._first_event(run, experiment_name, parent, joins=joins)
            run.begin([first, *tagged])
            self._run_id_used |= shared
            self._keep(run)
        self._activate(run)
        lifetime.opened(run)
        handover.offer(self)
        session.launcher.check()
        if not session.writer.dead:
            lifetime.slow_facts.give(run.add_context)
            self._tell(run)
        return run

    def _tell(self, run: Run) -> None:
        """Say where the run can be looked at."""
        configuration = self._configuration()
        if not configuration.quiet:
            link = run_link(configuration.tracking_uri, run.run_id)
            where = f"is at {link}"
            if configuration.offline:
                where = f"waits in {configuration.spool}; 'runstone sync' sends it to {link}"
            notices.say(f"run {run.name or run.run_id!r} {where}")

    def _parent(self, nested: bool, parent_run_id: str | None) -> str:
        """The id of the run that one becomes a part of, empty where there is none."""
        named = "" if parent_run_id is None else checked_run_id(parent_run_id, "parent_run_id")
        if nested:
            active = self.active_run()
            return named or (active.run_id if active else "")
        if lifetime.at_a_prompt():
            self._end_left_open()
        own = [run for run in self._stack.get() if not run.ended and not run.inherited]
        if own:
            raise InvalidInputError(
                f"run {own[-1].name!r} ({own[-1].run_id}) is active; end it with end_run(), or start "
                "this one inside of it with start_run(nested=True)"
            )
        return named

    def _choose_id(self, run_id: str | None, configuration: Configuration, nested: bool) -> str:
        if run_id is not None:
            chosen = checked_run_id(run_id, "run_id")
        elif configuration.run_id and not self._run_id_used and not nested:
            chosen = self._shared_id(configuration)
        else:
            return new_run_id()
        if self._unended(chosen) is not None:
            raise InvalidInputError(f"run {chosen} is active already")
        return chosen

    def _shared_id(self, configuration: Configuration) -> str:
        return checked_run_id(configuration.run_id, "RUNSTONE_RUN_ID") if configuration.run_id else ""

    def _name(self, run_name: str | None, run_id: str, *, resumed: bool) -> str:
        if run_name is None:
            # a resumed run keeps the name that it was started with
            return "" if resumed else clean(f"{program_name()}-{run_id[-6:]}", limits.RUN_NAME_MAX)
        if not isinstance(run_name, str):
            raise InvalidInputError(f"run_name: expected a text, found {type(run_name).__name__}")
        name, altered = text(run_name, limits.RUN_NAME_MAX)
        if altered and self._configuration().strict:
            raise InvalidInputError(f"run_name would be {altered}; RUNSTONE_STRICT=1 does not allow it")
        if altered:
            notices.warn_once("altered run_name", f"the run's name {name[:40]!r}… was {altered}")
        return name

    def _announce(self, session: Session, name: str) -> None:
        """Say once in this process that the experiment exists."""
        if name not in self._announced:
            self._announced.add(name)
            session.writer.event(session.writer.stream(CATALOG), ExperimentCreated(name, now_ms()))

    def _first_event(
        self, run: Run, experiment_name: str, parent: str, *, joins: bool
    ) -> RunStarted | RunJoined:
        context = quick_context(self._configuration().rank)
        if joins:
            return RunJoined(now_ms(), context)
        return RunStarted(
            experiment_id=run.experiment_id,
            experiment_name=experiment_name,
            name=run.name,
            time=now_ms(),
            user=context["user"],
            parent_run_id=parent,
            context=context,
        )

    def open_run(self, identity: Identity, events: Iterable[Event]) -> Run:
        """A run for a program that keeps its own account of runs: never active, and not ended at exit.

        Args:
            identity: id, experiment and name; where another process began the run, as far as is known.
            events: what is appended first: `RunStarted` where this process begins it, or a new attempt of
                it, and so owns its end; `RunJoined` where it only writes to it.
        """
        first, *rest = events
        owned = isinstance(first, RunStarted)
        configuration = self._configuration()
        with self._lock:
            session = self._opened()
            run = Run(identity, session, rank=configuration.rank, owned=owned, strict=configuration.strict)
            run.begin([first, *rest])
            self._adopted.append(run)
        session.launcher.check()
        if owned and not session.writer.dead:
            lifetime.slow_facts.give(run.add_context)
            self._tell(run)
        return run

    def _run(self) -> Run:
        """The active run; where there is none, one is started and ended at exit."""
        run = self.active_run()
        if run is None:
            with self._lock:
                run = self.active_run() or self.start_run()
        return run

    def end_run(self, status: str = "FINISHED") -> None:
        """End the active run as FINISHED, FAILED or KILLED; where there is none, nothing happens."""
        checked_status(status)
        run = self.active_run()
        if run is not None:
            run.end(status)

    def flush(self, timeout: float = FLUSH_S) -> bool:
        """Whether, within *timeout* seconds, the broker has acknowledged all that was logged before.

        Files included: they are uploaded and their pointers acknowledged. False means: not yet; or never,
        once the store has refused an artifact of this process for good, which is not waited for.

        Raises:
            InvalidInputError: *timeout* is no number.
        """
        deadline = monotonic() + seconds(timeout)
        session = self._opened()
        return session.wait_acknowledged(deadline, session.uploads.of())


def run_link(uri: str, run_id: str) -> str:
    """Where a run can be looked at."""
    return f"{uri}/api/v1/runs/{run_id}"


def joined(tracking_uri: str, identity: tuple[str, int, str]) -> Run:
    """A run that was pickled: the same one in its process, one that is joined in another."""
    with _joining:
        clients = [client for client in lifetime.watching() if isinstance(client, Client)]
        for client in clients:
            run = client._own(identity[0])  # noqa: SLF001  # its own class
            if run is not None:
                return run
        same = [c for c in clients if c._configuration().tracking_uri == tracking_uri]  # noqa: SLF001  # as above
        if not same:
            same = [Client(tracking_uri)]
            _joining_clients.extend(same)
    return same[0].join(Identity(*identity))


_joining = threading.Lock()
_joining_clients: Final[list[Client]] = []
"""Made for runs that came from elsewhere; they live as long as the process."""
