"""Which run a call belongs to: experiments, starting, resuming and joining runs, the active run.

The active run is a context variable (each thread and each asyncio task has its own), else the run that this
client started last in the process and that has not ended. Of those the ones do not count that another thread
nested in a run which it found that way: threads that each nest a run in the same one are siblings. A child of
multiprocessing without a run of its own logs to the one that was active where it was started (`handover`).
Clients share nothing but the process's sessions.
"""

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from os import PathLike
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from runstone import handover, lifetime, notices
from runstone.configuration import Configuration, check_tracking_uri, read_configuration
from runstone.context import program_name, quick_context
from runstone.events import limits
from runstone.events.envelope import CATALOG
from runstone.events.identity import DEFAULT_EXPERIMENT, experiment_id, new_run_id
from runstone.events.types import Event, ExperimentCreated, RunJoined, RunStarted
from runstone.exceptions import InvalidInputError
from runstone.inputs import checked_key, checked_name, checked_run_id, checked_status, clean, seconds, text
from runstone.run import READ_S, Identity, Run, now_ms, tag_events
from runstone.spool.forking import renew
from runstone.spool.session import Session

if TYPE_CHECKING:
    from runstone.run_info import RunInfo

FLUSH_S: Final = 30.0
"""Seconds that ``flush`` waits unless told otherwise."""

RECENT_MOST: Final = 100
"""Runs whose own writes ``get_run`` waits for; what was logged to earlier ones has long arrived."""


class Client:
    """Runstone's calls, with a server and a spool of its own; ``import runstone`` has one for everybody."""

    def __init__(self, tracking_uri: str | None = None, *, spool: str | PathLike[str] | None = None) -> None:
        """A client; nothing is written and nobody is asked before the first run.

        Args:
            tracking_uri: the server's address; without it ``RUNSTONE_TRACKING_URI`` at the first use.
            spool: a folder on a local disk; without it ``RUNSTONE_SPOOL`` and its default.

        Raises:
            InvalidInputError: the address is no URL.
        """
        self._tracking_uri = None if tracking_uri is None else check_tracking_uri(tracking_uri)
        self._spool = spool
        self._lock = threading.RLock()
        self._configured: Configuration | None = None
        self._session: Session | None = None
        self._experiment: str | None = None
        self._announced: set[str] = set()
        self._stack: ContextVar[tuple[Run, ...]] = ContextVar("runstone_active_runs", default=())
        self._open: list[Run] = []
        self._adopted: list[Run] = []
        self._recent: deque[Run] = deque(maxlen=RECENT_MOST)
        self._run_id_used = False
        self._handed: handover.Handed | None = None
        self._asked_parent = False
        lifetime.watch(self)

    def forked(self) -> None:
        """This process is a child: another thread of the parent may have held the lock."""
        renew(self._lock)
        self._announced = set()
        for run in self._adopted:
            run.forked()

    def handed_over(self) -> tuple[str, handover.Handed] | None:
        """What children of multiprocessing learn: the tracking URI and the run that is active here."""
        run = self.active_run()
        if run is None:
            return None
        return self._configuration().tracking_uri, handover.Handed(run.run_id, run.experiment_id, run.name)

    def _configuration(self) -> Configuration:
        if self._configured is None:
            self._configured = read_configuration(self._tracking_uri, self._spool)
        return self._configured

    def _opened(self) -> Session:
        if self._session is None:
            self._session = lifetime.session_of(self._configuration())
        return self._session

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
            self._open = [*(other for other in self._open if not other.ended), run]
            self._recent.append(run)
        self._stack.set((*(other for other in self._stack.get() if not other.ended), run))
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

    def _choose_id(self, run_id: str | None, configuration: Configuration, nested: bool) -> str:
        if run_id is not None:
            chosen = checked_run_id(run_id, "run_id")
        elif configuration.run_id and not self._run_id_used and not nested:
            chosen = self._shared_id(configuration)
        else:
            return new_run_id()
        if any(run.run_id == chosen and not run.ended for run in self._open):
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

    def active_run(self) -> Run | None:
        """The run of this context, else the one this process started last and has not ended, else None."""
        for run in reversed(self._stack.get()):
            if not run.ended:
                return run
        for run in reversed(self._open):
            if not run.ended and not run.apart:
                return run
        return None if self._asked_parent else self._join_parents()

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
            for run in self._open:
                if run.run_id == identity.run_id and not run.ended:
                    return run
            configuration = self._configuration()
            session = self._opened()
            run = Run(identity, session, rank=configuration.rank, owned=False, strict=configuration.strict)
            run.inherited = True
            run.begin([RunJoined(now_ms(), quick_context(configuration.rank))])
            self._open = [*(other for other in self._open if not other.ended), run]
            self._recent.append(run)
        lifetime.opened(run)
        handover.offer(self)
        session.launcher.check()
        return run

    def _run(self) -> Run:
        """The active run; where there is none, one is started and ended at exit."""
        run = self.active_run()
        if run is None:
            with self._lock:
                run = self.active_run() or self.start_run()
        return run

    def get_run(self, run_id: str, timeout: float = READ_S) -> "RunInfo":
        """A run as the server has it; one that this process logs to, with all that was logged so far.

        Args:
            run_id: of any run of the server.
            timeout: seconds to wait for what this process logged to it at most; afterwards the answer is
                what there is.

        Raises:
            NoSuchRunError: the server does not know the run (yet).
            ServerError: no server answers.
            InvalidInputError: *run_id* is no run's id.
        """
        from runstone.run_info import read_run  # noqa: PLC0415  # importing runstone must stay cheap

        wanted = checked_run_id(run_id, "run_id")
        own = self._own(wanted)
        if own is not None:
            return own.info(timeout)
        return read_run(self._configuration().tracking_uri, wanted)

    def download_artifacts(
        self,
        run_id: str,
        path: str | None = None,
        dst: str | PathLike[str] | None = None,
        timeout: float = READ_S,
    ) -> Path:
        """Fetch files of a run from the server, each checked by its SHA-256, and say where they lie.

        What is in *dst* already with the right content is not fetched again, and what was cut off goes on
        where it ended.

        Args:
            run_id: of any run of the server.
            path: of a file or folder within the run's artifacts; without it all of them.
            dst: a folder, made where it is missing; files get their whole paths below it, and replace others
                of these names. Without it a new temporary one, which is the caller's to remove.
            timeout: seconds to wait at most for what this process logged to the run.

        Returns:
            The path of the file or folder; *dst* where no *path* was named.

        Raises:
            NoSuchRunError, NoSuchArtifactError: the server does not know the run, or the path (yet).
            ServerError: no server answers, or the store does not give the file.
            InvalidInputError: an argument is not what it must be.
            OSError: the disk refuses.
        """
        from runstone import loading  # noqa: PLC0415  # importing runstone must stay cheap

        wanted = checked_run_id(run_id, "run_id")
        own = self._own(wanted)
        if own is not None:
            return own.download_artifacts(path, dst, timeout)
        return loading.download_artifacts(self._configuration().tracking_uri, wanted, path, dst)

    def load_model(self, model: str, name: str | None = None, timeout: float = READ_S) -> Any:
        """Unpickle a model that ``log_model`` wrote, checked by its SHA-256.

        Unpickling runs whatever code the file names: load models of people you trust only. A warning says so.

        Args:
            model: the run's id, or ``runs:/<run id>/<name>``.
            name: of the model within the run, where *model* is an id; "model" unless told otherwise.
            timeout: seconds to wait at most for what this process logged to the run.

        Raises:
            NoSuchRunError, NoSuchArtifactError: the server does not know the run, or the model (yet).
            ServerError: no server answers, or the store does not give the file.
            InvalidInputError: an argument is not what it must be.
            RunstoneError: it cannot be unpickled here; the message says which versions it was written with.
        """
        from runstone import loading  # noqa: PLC0415  # importing runstone must stay cheap

        run_id, folder = loading.model_address(model, name)
        own = self._own(run_id)
        if own is not None:
            return own.load_model(folder, timeout)
        return loading.load_model(self._configuration().tracking_uri, run_id, folder)

    def _own(self, run_id: str) -> Run | None:
        """The run of that id which this process logs to, or logged to lately."""
        return next((run for run in reversed(self._recent) if run.run_id == run_id), None)

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

    def log_metric(self, key: str, value: Any, step: int = 0) -> None:
        """`Run.log_metric` of the active run."""
        (self.active_run() or self._run()).log_metric(key, value, step)

    def log_metrics(self, metrics: Mapping[str, Any], step: int = 0) -> None:
        """`Run.log_metrics` of the active run."""
        self._run().log_metrics(metrics, step)

    def log_series(
        self,
        key: str,
        values: Iterable[Any],
        steps: Iterable[int] | None = None,
        times: Iterable[int] | None = None,
    ) -> None:
        """`Run.log_series` of the active run."""
        self._run().log_series(key, values, steps, times)

    def log_param(self, key: str, value: Any) -> None:
        """`Run.log_param` of the active run."""
        self._run().log_param(key, value)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """`Run.log_params` of the active run."""
        self._run().log_params(params)

    def set_tag(self, key: str, value: Any) -> None:
        """`Run.set_tag` of the active run."""
        self._run().set_tag(key, value)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """`Run.set_tags` of the active run."""
        self._run().set_tags(tags)

    def delete_tag(self, key: str) -> None:
        """`Run.delete_tag` of the active run."""
        self._run().delete_tag(key)

    def set_note(self, text: str) -> None:
        """`Run.set_note` of the active run."""
        self._run().set_note(text)

    def log_input(
        self,
        dataset: Any = None,
        context: str = "",
        tags: Mapping[str, Any] | None = None,
        *,
        name: str = "",
        digest: str = "",
        source: str = "",
        schema: str | Mapping[str, str] = "",
    ) -> None:
        """`Run.log_input` of the active run."""
        self._run().log_input(dataset, context, tags, name=name, digest=digest, source=source, schema=schema)

    def log_artifact(self, path: str | PathLike[str], artifact_path: str | None = None) -> None:
        """`Run.log_artifact` of the active run."""
        self._run().log_artifact(path, artifact_path)

    def log_artifacts(self, folder: str | PathLike[str], artifact_path: str | None = None) -> None:
        """`Run.log_artifacts` of the active run."""
        self._run().log_artifacts(folder, artifact_path)

    def log_text(self, text: str, artifact_file: str) -> None:
        """`Run.log_text` of the active run."""
        self._run().log_text(text, artifact_file)

    def log_dict(self, dictionary: Any, artifact_file: str) -> None:
        """`Run.log_dict` of the active run."""
        self._run().log_dict(dictionary, artifact_file)

    def log_figure(self, figure: Any, artifact_file: str, **options: Any) -> None:
        """`Run.log_figure` of the active run."""
        self._run().log_figure(figure, artifact_file, **options)

    def log_image(
        self,
        image: Any,
        artifact_file: str | None = None,
        *,
        key: str | None = None,
        step: int = 0,
        time: int | None = None,
    ) -> None:
        """`Run.log_image` of the active run."""
        self._run().log_image(image, artifact_file, key=key, step=step, time=time)

    def log_table(self, data: Any, artifact_file: str) -> None:
        """`Run.log_table` of the active run."""
        self._run().log_table(data, artifact_file)

    def log_model(self, model: object, name: str = "model") -> None:
        """`Run.log_model` of the active run."""
        self._run().log_model(model, name)


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
