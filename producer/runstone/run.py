"""One run, as the training code holds it: everything that can be logged to it.

Any thread may call; the session's writer puts the calls in order. No call waits for a network. After a fork
the child's calls go on in a session of the child's own, as one that joined the run.
"""

import json
import struct
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from runstone import artifact_sources, artifacts, lifetime, notices
from runstone.context import quick_context
from runstone.events import limits
from runstone.events.types import (
    Event,
    Param,
    RunContext,
    RunEnded,
    RunJoined,
    SeriesKey,
    SessionEnded,
    Tag,
    TagDeleted,
    from_json,
    to_json,
)
from runstone.exceptions import InvalidInputError, MalformedEnvelopeError, NoSuchRunError
from runstone.inputs import (
    check_series_key,
    checked_artifact_path,
    checked_key,
    checked_status,
    measured,
    number,
    numbers,
    seconds,
    step_number,
    step_numbers,
    text,
    time_number,
    time_numbers,
)
from runstone.logged_tables import Tables, check_table_path
from runstone.lost_artifacts import LOST_TAG, LostArtifacts
from runstone.spool.artifact_room import NoRoomError
from runstone.spool.segment import SERIES_PAYLOAD
from runstone.spool.session import Session
from runstone.spool.writer import ended

if TYPE_CHECKING:
    from runstone.run_info import RunInfo

NS_PER_MS: Final = 1_000_000
LATEST_POINT_MS: Final = (2**64 - 1) // NS_PER_MS
"""The last time, in the year 2554, that a point's record can hold; later ones are records of a series."""

SERIES_MOST: Final = 4000
"""Points of one record, so that it stays below the size of an event as JSON at its longest."""

READ_S: Final = 10.0
"""Seconds that reading a run waits for what this process logged to it, unless told otherwise."""

NOTE_TAG: Final = "mlflow.note.content"
"""The tag that holds a run's note, under MLflow's name so that its interface shows it too."""

IMAGES_TAG: Final = "mlflow.loggedImages"
TABLES_TAG: Final = "mlflow.loggedArtifacts"
"""Tags by which MLflow finds out which runs have images of a series, and tables."""


class Identity(NamedTuple):
    """What a run is called: its id, its experiment's id and its name ("" where only the server knows it)."""

    run_id: str
    experiment_id: int
    name: str


def now_ms() -> int:
    """The wall clock as the contract's time."""
    return time.time_ns() // 1_000_000


class Run:
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
        self.run_id, self.experiment_id, self.name = identity
        self.ended = False
        self.inherited = False
        self.entered = False
        self.thread = threading.get_ident()
        self.apart = False
        self._session = session
        self._stream = session.writer.stream(identity.run_id)
        self._point = session.writer.point
        self._rank = rank
        self._owned = owned
        self._strict = strict
        self._uploaded = 0
        self._lost = LostArtifacts()
        self._tables = Tables()
        self._images = False

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

    def log_metric(self, key: str, value: Any, step: int = 0) -> None:
        """Record one point of a metric; the time is now.

        Args:
            key: 1 to 250 characters, no control characters.
            value: whatever ``float()`` takes, texts excepted; NaN and infinities are kept.
            step: a signed 64-bit integer.

        Raises:
            InvalidInputError: one of them is not what it must be; nothing is recorded.
            RunEndedError: the run has ended.
        """
        if type(value) is not float:
            value = number(value, key)
        if type(key) is not str:
            key = checked_key(key, "metric")
        if type(step) is not int:
            step = step_number(step, key)
        try:
            self._point(self._stream, key, value, step)
        except struct.error:
            self._point(self._stream, key, value, step_number(step, key))  # says what is wrong with it

    def log_point(
        self,
        key: str,
        value: Any,
        step: int = 0,
        time: int | None = None,
        *,
        model_id: str = "",
        dataset: tuple[str, str] = ("", ""),
    ) -> None:
        """Record one point that happened at another time than now, or was measured for a model or dataset.

        Args:
            key: as for `log_metric`.
            value: as for `log_metric`.
            step: as for `log_metric`.
            time: integer ms UTC; without it now.
            model_id: of the logged model that was measured.
            dataset: name and digest of what it was measured on.

        Raises:
            InvalidInputError: something is not what it must be; nothing is recorded.
            RunEndedError: the run has ended.
        """
        if type(value) is not float:
            value = number(value, key)
        if type(key) is not str:
            key = checked_key(key, "metric")
        if type(step) is not int:
            step = step_number(step, key)
        if time is not None and (type(time) is not int or not 0 <= time <= LATEST_POINT_MS):
            time = time_number(time, key)
        name: str | SeriesKey = key
        if type(model_id) is not str or model_id or type(dataset) is not tuple or dataset != ("", ""):
            of = measured(model_id, dataset)
            name = SeriesKey(key, *of) if any(of) else key
        try:
            if time is None or time <= LATEST_POINT_MS:
                self._point(self._stream, name, value, step, None if time is None else time * NS_PER_MS)
                return
            check_series_key(key)
            columns = struct.pack("<qdq", step, value, time)
            self._session.writer.series(self._stream, name, SERIES_PAYLOAD.pack(1, 1) + columns)
        except struct.error:
            step_number(step, key)  # says what is wrong with it
            raise

    def log_metrics(self, metrics: Mapping[str, Any], step: int = 0) -> None:
        """Record a point of each metric; where one is bad, none is recorded. Raises as `log_metric`."""
        found = _plain_dict(metrics, "metrics")
        values = [value if type(value) is float else number(value, key) for key, value in found.items()]
        if type(step) is not int or abs(step) > limits.STEP_MAX:
            step = step_number(step, next(iter(found), ""))
        plain = set(map(type, found)) == {str}
        if not (plain and self._session.writer.points(self._stream, list(found), values, step)):
            keys = [checked_key(key, "metric") for key in found]
            for key, value in zip(keys, values, strict=True):
                self._point(self._stream, key, value, step)

    def log_series(
        self,
        key: str,
        values: Iterable[Any],
        steps: Iterable[int] | None = None,
        times: Iterable[int] | None = None,
    ) -> None:
        """Record many points of one metric at once, from sequences or arrays.

        Args:
            key: as for `log_metric`.
            values: whatever ``float()`` takes, texts excepted.
            steps: as many integers; without them 0, 1, 2, …
            times: as many integers, ms UTC; without them now.

        Raises:
            InvalidInputError: something is not what it must be; nothing is recorded.
            RunEndedError: the run has ended.
        """
        key = checked_key(key, "metric")
        v = numbers(values, key)
        s = array("q", range(len(v))) if steps is None else step_numbers(steps, key)
        t = None if times is None else time_numbers(times, key)
        for what, column in (("steps", s), ("times", t)):
            if column is not None and len(column) != len(v):
                raise InvalidInputError(
                    f"metric {key!r}: {len(v)} values need as many {what}, found {len(column)}"
                )
        for start in range(0, len(v), SERIES_MOST):
            part = slice(start, start + SERIES_MOST)
            head = SERIES_PAYLOAD.pack(len(v[part]), t is not None)
            columns = s[part].tobytes() + v[part].tobytes() + (b"" if t is None else t[part].tobytes())
            self._session.writer.series(self._stream, key, head + columns)

    def log_param(self, key: str, value: Any) -> None:
        """Record a setting; anything becomes its text. The first value of a key wins.

        Raises:
            InvalidInputError: the key is none (or, with RUNSTONE_STRICT=1, the text would be altered).
            RunEndedError: the run has ended.
        """
        self.log_params({checked_key(key, "param"): value})

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record settings; where one key is bad, none is recorded. Raises as `log_param`."""
        for each in text_events(params, "param", limits.PARAM_VALUE_MAX, Param, strict=self._strict):
            self._event(each)

    def set_tag(self, key: str, value: Any) -> None:
        """Set a tag; anything becomes its text. The last value of a key wins. Raises as `log_param`."""
        self.set_tags({checked_key(key, "tag"): value})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags; where one key is bad, none is set. Raises as `log_param`."""
        for each in tag_events(tags, strict=self._strict):
            self._event(each)

    def delete_tag(self, key: str) -> None:
        """Remove a tag; where there is none, nothing happens. Raises as `log_param`."""
        self._event(TagDeleted(checked_key(key, "tag"), now_ms()))

    def set_note(self, text: str) -> None:
        """Leave a note on the run, in place of one before: Markdown that both interfaces show beside it.

        Raises:
            InvalidInputError: it is no text (or, with RUNSTONE_STRICT=1, has over 8000 characters).
            RunEndedError: the run has ended.
        """
        if not isinstance(text, str):
            raise InvalidInputError(f"set_note: expected a text, found {type(text).__name__}")
        self.set_tags({NOTE_TAG: text})

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
        """Record which dataset the run reads: name, digest, schema and size, never the data.

        Of several records of the same name and digest the last one counts.

        Args:
            dataset: a pandas DataFrame, a numpy array, a dict of columns or arrays, a dataset of
                ``mlflow.data``; anything else, or nothing, where *name* and *digest* are given.
            context: what for, such as "training" or "validation".
            tags: of this input; anything becomes its text.
            name: shown to people; by default "dataset".
            digest: identifies the content, at most 36 characters. By default it is computed from the
                content: all of it up to 256 MiB, evenly spaced rows of more.
            source: a path or URI; by default the program that runs.
            schema: column names and their types, or a text of MLflow's form; by default found out.

        Raises:
            InvalidInputError: nothing is known about such data and no digest is given, or a text is too long.
            RunEndedError: the run has ended.
        """
        from runstone.datasets import dataset_input  # noqa: PLC0415  # importing runstone must stay cheap

        found = dataset_input(
            dataset,
            name=name,
            digest=digest,
            context=context,
            origin=source,
            schema=schema,
            tags={} if tags is None else tags,
            time=now_ms(),
            strict=self._strict,
        )
        self._event(found)

    def log_artifact(self, path: str | PathLike[str], artifact_path: str | None = None) -> None:
        """Copy a file aside and upload it in the background.

        Args:
            path: of the file; of a folder, all that is below it.
            artifact_path: the folder within the run's artifacts.

        Raises:
            InvalidInputError: there is no such file, or the path leaves the run.
            RunEndedError: the run has ended.
        """
        source = artifact_sources.located(path)
        place = artifacts.within(artifact_path, source.name)
        if source.is_dir():
            self.log_artifacts(source, place)
        else:
            self._upload_file(source, place)

    def log_artifacts(self, folder: str | PathLike[str], artifact_path: str | None = None) -> None:
        """Upload every file below a folder, with the same paths. Raises as `log_artifact`.

        What lies there and can be no artifact (a pipe, a file that this user may not read, a name with a
        control character, a link to a folder) is left out: one warning says so, and a tag of the run.
        """
        source = artifact_sources.located(folder)
        artifacts.within(artifact_path, "any")
        for file, name in artifact_sources.files_below(source, self._lose):
            try:
                self._upload_file(file, artifacts.within(artifact_path, name))
            except InvalidInputError as wrong:
                self._lose(name, str(wrong))

    def log_text(self, text: str, artifact_file: str) -> None:
        """Record a text as the artifact *artifact_file*, a path within the run. Raises as `log_artifact`."""
        if not isinstance(text, str):
            raise InvalidInputError(f"log_text: expected a text, found {type(text).__name__}")
        path = checked_artifact_path(artifact_file, "artifact_file")
        content = text.encode(errors="replace")
        if self._strict and content.decode() != text:
            raise InvalidInputError(
                f"artifact {path!r} would have half surrogate pairs replaced; RUNSTONE_STRICT=1 does not "
                "allow it"
            )
        self._upload(path, lambda target: _write(target, content), len(content))

    def log_dict(self, dictionary: Any, artifact_file: str) -> None:
        """Record an object of dicts, lists and scalars as JSON. What JSON lacks becomes its text.

        Raises:
            InvalidInputError: it cannot be written as JSON, or the path leaves the run.
            RunEndedError: the run has ended.
        """
        try:
            content = json.dumps(dictionary, indent=2, ensure_ascii=False, default=str) + "\n"
        except Exception as wrong:  # a foreign type's __str__ may raise anything
            raise InvalidInputError(
                f"log_dict: this cannot be written as JSON ({lifetime.describe(wrong, type(wrong))})"
            ) from None
        self.log_text(content, artifact_file)

    def log_figure(self, figure: Any, artifact_file: str, **options: Any) -> None:
        """Record a figure of matplotlib or plotly, as it is now.

        Args:
            figure: the figure.
            artifact_file: a path within the run, whose ending is the format: ``.png``, ``.svg``, ``.pdf``;
                for plotly ``.html`` (its other formats need the package kaleido).
            options: handed on to ``savefig``, ``write_html`` or ``write_image``.

        Raises:
            InvalidInputError: it is no figure, it cannot be written so, or the path leaves the run.
            RunEndedError: the run has ended.
        """
        from runstone.figures import figure_writer  # noqa: PLC0415  # importing runstone must stay cheap

        path = checked_artifact_path(artifact_file, "artifact_file")
        self._upload(path, figure_writer(figure, path, options))

    def log_image(
        self,
        image: Any,
        artifact_file: str | None = None,
        *,
        key: str | None = None,
        step: int = 0,
        time: int | None = None,
    ) -> None:
        """Record an image: as the artifact *artifact_file*, or as the one of *step* in the series *key*.

        Args:
            image: a numpy array or what becomes one, of shape (height, width) or (height, width, channels)
                with 1, 3 or 4 of them, of integers 0 to 255, floats 0 to 1 or truths; or a Pillow image.
            artifact_file: a path within the run. ``.png`` needs nothing installed, other formats Pillow.
            key: of a series, such as "samples/dog"; MLflow's interface has a slider for its steps.
            step: where in the series.
            time: integer ms UTC; without it now.

        Raises:
            InvalidInputError: it is no image; or neither or both of *artifact_file* and *key* are given.
            RunEndedError: the run has ended.
        """
        from runstone import images  # noqa: PLC0415  # importing runstone must stay cheap

        if (artifact_file is None) == (key is None):
            raise InvalidInputError("log_image: give either artifact_file, or key for an image of a series")
        if key is None:
            path = checked_artifact_path(artifact_file, "artifact_file")
            self._upload(path, images.image_file(image, path).write)
            return
        at = now_ms() if time is None else time_number(time, key)
        for file in images.image_of_series(image, key, step_number(step, key), at):
            self._upload(file.path, file.write)
        if not self._images:
            self._images = True
            self.set_tags({IMAGES_TAG: True})

    def log_table(self, data: Any, artifact_file: str) -> None:
        """Record a table as JSON that ``mlflow.load_table`` reads too.

        The same path again appends: this process keeps the table's rows until the run ends. Another
        process's table of that path is replaced.

        Args:
            data: a dict of columns (or of single values: one row), a list of dicts, or a pandas DataFrame.
            artifact_file: a path within the run that ends in ``.json``.

        Raises:
            InvalidInputError: it is no table, or the path is none for one.
            RunEndedError: the run has ended.
        """
        path = check_table_path(checked_artifact_path(artifact_file, "artifact_file"))
        said = self._tables.extend(
            path,
            data,
            lambda content: self._upload(path, lambda target: _write(target, content), len(content)),
        )
        if said is not None:
            self.set_tags({TABLES_TAG: said})

    def log_model(self, model: object, name: str = "model") -> None:
        """Record a fitted object as the folder *name* of the run's artifacts.

        ``model.pkl`` is its pickle, ``model.json`` says its class, versions and parameters. Around an
        estimator of scikit-learn's kind lie the files of MLflow's layout (``MLmodel`` and others), so that
        ``mlflow.sklearn.load_model("runs:/<run id>/<name>")`` and ``mlflow.pyfunc.load_model`` load it.
        Other objects are loaded by ``pickle``.

        Args:
            model: anything that cloudpickle or, where that is not installed, pickle can write.
            name: the folder within the run's artifacts.

        Raises:
            InvalidInputError: it cannot be pickled, or the name leaves the run.
            RunEndedError: the run has ended.
        """
        from runstone import models  # noqa: PLC0415  # importing runstone must stay cheap

        folder = checked_artifact_path(name.rstrip("/") if isinstance(name, str) else name, "name")
        for file in models.model_files(model, run_id=self.run_id, path=folder):
            if not self._upload(artifacts.within(folder, file.name), file.write):
                break  # the description of a pickle that is not there would be a lie

    def _upload_file(self, source: Path, path: str) -> None:
        try:
            file = artifact_sources.SourceFile(source)
        except OSError as wrong:
            self._lose(path, f"it cannot be read now ({wrong})")
            return
        try:
            self._upload(path, file.copy, file.size)
        finally:
            file.close()

    def _upload(self, path: str, fill: Callable[[Path], None], size: int | None = None) -> bool:
        """Order an upload of *size* bytes, where they are known before; whether the spool took it."""
        if self.ended:
            raise ended(self._stream)
        self._session.writer.touch(self._stream)
        try:
            upload = artifacts.order_upload(self._session, self.run_id, self.experiment_id, path, fill, size)
        except (NoRoomError, OSError) as wrong:
            self._lose(path, str(wrong))
            return False
        if upload is None:
            return False
        self._uploaded += 1
        return True

    def _lose(self, path: str, reason: str) -> None:
        """Remember a file that is not logged."""
        self._count_lost(self._lost.add(path, reason))

    def _count_lost(self, said: str) -> None:
        """Set the tag that counts them; each process of a run has its own, lest one overwrite another's."""
        if said:
            key = LOST_TAG if self._owned else f"{LOST_TAG}.{self._session.session[-8:]}"
            self.set_tags({key: said})

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
        self._tables = Tables()
        lifetime.closed(self)

    def conclude(self, status: str = "FINISHED", reason: str = "") -> None:
        """Say how the run ended without closing it: what is logged after the process's exit hook is kept.

        Args:
            status: FINISHED, FAILED or KILLED.
            reason: why it failed.
        """
        if self._stream.closed:  # another client of this process may have ended it
            return
        self._count_lost(self._lost.rest())
        why = text(reason, lifetime.REASON_MOST)[0]
        if self._owned:
            self._event(RunEnded(status, now_ms(), why))
        elif self._stream.next_seq:  # one that joined ends its own part only, if it wrote anything
            self._event(SessionEnded(self._session.session, status, now_ms(), why))

    def wait_until_queryable(self, timeout: float = 30.0) -> bool:
        """Whether, within *timeout* seconds, all that was logged here so far can be read through the API.

        False means: not yet; or never, once the store has refused an artifact of this run for good, or where
        points were refused because the spool was full. With RUNSTONE_DISABLED=1 nothing was logged, and the
        answer is True.

        Raises:
            InvalidInputError: *timeout* is no number.
        """
        from runstone.queryable import wait_until_queryable  # noqa: PLC0415  # importing runstone must stay cheap

        deadline = time.monotonic() + seconds(timeout)
        if self._session.disabled:
            return True
        uploads = self._session.uploads.of(self.run_id)
        appended = self._stream.next_seq
        if not self._session.wait_acknowledged(deadline, uploads):
            return False
        wanted = {self._session.session: appended - 1} if appended else {}
        wanted |= self._session.uploads.pointers(self.run_id)
        return wait_until_queryable(self._session.uri, self.run_id, wanted, deadline)

    def info(self, timeout: float = READ_S) -> "RunInfo":
        """The run as the server has it, with what was logged here so far.

        Args:
            timeout: seconds to wait for that at most; afterwards the answer is what there is.

        Raises:
            NoSuchRunError: the server does not know the run (yet).
            ServerError: no server answers.
            InvalidInputError: *timeout* is no number.
        """
        from runstone.run_info import read_run  # noqa: PLC0415  # importing runstone must stay cheap

        self._arrived(timeout)
        return read_run(self._session.uri, self.run_id)

    def download_artifacts(
        self, path: str | None = None, dst: str | PathLike[str] | None = None, timeout: float = READ_S
    ) -> Path:
        """Fetch the run's files, what was logged here so far included; see `Client.download_artifacts`.

        *timeout*: seconds to wait at most for what was logged here to arrive.
        """
        from runstone import loading  # noqa: PLC0415  # importing runstone must stay cheap

        self._arrived(timeout)
        return loading.download_artifacts(self._session.uri, self.run_id, path, dst)

    def load_model(self, name: str = "model", timeout: float = READ_S) -> Any:
        """Unpickle a model of the run, of this moment included; see `Client.load_model`.

        *timeout*: seconds to wait at most for what was logged here to arrive.
        """
        from runstone import loading  # noqa: PLC0415  # importing runstone must stay cheap

        run_id, folder = loading.model_address(self.run_id, name)
        self._arrived(timeout)
        return loading.load_model(self._session.uri, run_id, folder)

    def _arrived(self, timeout: float) -> None:
        """Wait for what was logged here; where nobody answers, nothing is waited for."""
        from runstone.run_info import read_run  # noqa: PLC0415  # importing runstone must stay cheap

        try:
            read_run(self._session.uri, self.run_id)
        except NoSuchRunError:
            pass
        self.wait_until_queryable(timeout)

    def forked(self) -> None:
        """This process is a child of the one that opened the run: it joins, with a session of its own."""
        self.inherited = True
        self._owned = False
        self._uploaded = 0
        self._lost = LostArtifacts()
        self._tables = Tables()
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
        return self._stream.next_seq + self._uploaded

    def add_context(self, facts: Mapping[str, Any]) -> None:
        """Append facts that were found out later; the run may have ended by then."""
        self._session.writer.event(self._stream, RunContext(facts), late=True)

    def _event(self, event: Event) -> None:
        self._session.writer.event(self._stream, event)


def tag_events(tags: Mapping[str, Any], *, strict: bool) -> list[Event]:
    """The events that set tags; raises as `Run.set_tags`, with nothing written."""
    return text_events(tags, "tag", limits.TAG_VALUE_MAX, Tag, strict=strict)


def text_events(
    found: Mapping[str, Any],
    what: str,
    longest: int,
    event: Callable[[str, str, int], Event],
    *,
    strict: bool,
) -> list[Event]:
    """An event for each pair, and a tag that names each key whose text had to be altered."""
    at = now_ms()
    events: list[Event] = []
    for name, value in _plain_dict(found, f"{what}s").items():
        key = checked_key(name, what)
        try:
            said, altered = text(value, longest)
        except InvalidInputError as wrong:
            raise InvalidInputError(f"{what} {key!r}: {wrong}") from None
        events.append(event(key, said, at))
        if altered and strict:
            raise InvalidInputError(f"{what} {key!r} would be {altered}; RUNSTONE_STRICT=1 does not allow it")
        if altered:
            notices.warn_once(
                f"altered {what}",
                f"{what} {key!r} was {altered}; such keys are named by tags runstone.altered.*",
            )
            events.append(Tag(f"runstone.altered.{key}"[: limits.KEY_MAX], f"{what} {altered}", at))
    return events


def _plain_dict(found: Mapping[str, Any], what: str) -> dict[str, Any]:
    try:
        return dict(found.items())
    except Exception:  # whatever else has, or has not, something called items
        raise InvalidInputError(f"{what}: expected a dict, found {type(found).__name__}") from None


def _write(target: Path, content: bytes) -> None:
    target.write_bytes(content)
