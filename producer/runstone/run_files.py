"""The calls that record files: copied into the spool, or written there, and uploaded in the background.

What the spool cannot take is no error of the training: it is warned of once, and the run's tag counts it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Final

from runstone import artifact_sources, artifacts, lifetime
from runstone.exceptions import InvalidInputError
from runstone.inputs import checked_artifact_path, step_number, time_number
from runstone.logged_tables import Tables, check_table_path
from runstone.lost_artifacts import LOST_TAG, LostArtifacts
from runstone.run_stream import now_ms
from runstone.spool.artifact_room import NoRoomError
from runstone.spool.writer import ended
from runstone.texts import Texts

IMAGES_TAG: Final = "mlflow.loggedImages"
TABLES_TAG: Final = "mlflow.loggedArtifacts"
"""Tags by which MLflow finds out which runs have images of a series, and tables."""


@dataclass(slots=True)
class LoggedFiles:
    """What this process knows of the files of one run.

    Attributes:
        uploaded: how many uploads it has ordered. lost: those that the spool could not take.
        tables: the rows that ``log_table`` may append to. images: the run is tagged as one with images.
    """

    uploaded: int = 0
    lost: LostArtifacts = field(default_factory=LostArtifacts)
    tables: Tables = field(default_factory=Tables)
    images: bool = False


class RunFiles(Texts):
    """A run's artifacts; ``_files`` is what is known of them."""

    _files: LoggedFiles

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
        if not self._files.images:
            self._files.images = True
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
        said = self._files.tables.extend(
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
        self._files.uploaded += 1
        return True

    def _lose(self, path: str, reason: str) -> None:
        """Remember a file that is not logged."""
        self._count_lost(self._files.lost.add(path, reason))

    def _count_lost(self, said: str) -> None:
        """Set the tag that counts them; each process of a run has its own, lest one overwrite another's."""
        if said:
            key = LOST_TAG if self._owned else f"{LOST_TAG}.{self._session.session[-8:]}"
            self.set_tags({key: said})


def _write(target: Path, content: bytes) -> None:
    target.write_bytes(content)
