"""Reading a run's files and models back: ``download_artifacts`` and ``load_model``."""

import json
import pickle
import shutil
import tempfile
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final

from runstone import downloads, notices
from runstone.downloads import Pointer
from runstone.exceptions import InvalidInputError, NoSuchArtifactError, RunstoneError
from runstone.inputs import checked_artifact_path, checked_run_id, shown
from runstone.models import DESCRIPTION_FILE, MODEL_FILE

RUNS_SCHEME: Final = "runs:/"


def download_artifacts(uri: str, run_id: str, path: str | None, dst: str | PathLike[str] | None) -> Path:
    """Fetch a run's files; see `Client.download_artifacts`."""
    asked = "" if path is None else checked_artifact_path(_stripped(path), "path")
    folder = _folder(dst)
    found = downloads.pointers(uri, run_id, asked)
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="runstone-"))
    downloads.download(uri, run_id, found, folder)
    folder.mkdir(parents=True, exist_ok=True)  # a run without any file
    return folder / asked


def model_address(model: str, name: str | None) -> tuple[str, str]:
    """Run and folder of what ``load_model`` is given: a run's id and a name, or ``runs:/<run id>/<name>``."""
    if isinstance(model, str) and model.startswith(RUNS_SCHEME):
        run_id, _, folder = model.removeprefix(RUNS_SCHEME).lstrip("/").partition("/")
        if name is not None or not folder:
            raise InvalidInputError(
                f"load_model: {shown(model)} names the run; expected 'runs:/<run id>/<name>' alone, or a "
                "run's id and the model's name"
            )
    elif isinstance(model, str) and ":/" in model:
        raise InvalidInputError(
            f"load_model: {shown(model)} is no address of a model; expected a run's id, or "
            "'runs:/<run id>/<name>'"
        )
    else:
        run_id, folder = model, "model" if name is None else name
    return checked_run_id(run_id, "run_id"), checked_artifact_path(_stripped(folder), "name")


def load_model(uri: str, run_id: str, folder: str) -> Any:
    """Unpickle a model of a run; see `Client.load_model`."""
    found = _files_of_model(uri, run_id, folder)
    notices.warn_once(
        "unpickling",
        "load_model unpickles, which runs whatever code the file names; load models of people you trust only",
    )
    private = Path(tempfile.mkdtemp(prefix="runstone-model-"))
    try:
        downloads.download(uri, run_id, found, private)
        with (private / folder / MODEL_FILE).open("rb") as file:
            try:
                return pickle.load(file)  # noqa: S301  # which the caller has just been warned of
            except Exception as wrong:  # whatever the code in it raises
                raise RunstoneError(
                    f"the model {folder!r} of run {run_id} cannot be unpickled here "
                    f"({type(wrong).__name__}: {wrong}){_written_with(private / folder / DESCRIPTION_FILE)}"
                ) from wrong
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _files_of_model(uri: str, run_id: str, folder: str) -> list[Pointer]:
    """The pickle and its description."""
    try:
        there = {pointer.path: pointer for pointer in downloads.pointers(uri, run_id, folder)}
        pickled = there[f"{folder}/{MODEL_FILE}"]
    except (NoSuchArtifactError, KeyError):
        models = _models_in(downloads.pointers(uri, run_id))
        raise NoSuchArtifactError(f"run {run_id} has no model {folder!r} (yet); {models}") from None
    if not pickled.sha256:
        raise RunstoneError(
            f"the model {folder!r} of run {run_id} was uploaded past the server, so nobody knows its "
            "SHA-256; fetch it by download_artifacts and unpickle it yourself if you trust it"
        )
    description = there.get(f"{folder}/{DESCRIPTION_FILE}")
    return [pickled] if description is None else [pickled, description]


def _models_in(everything: Sequence[Pointer]) -> str:
    names = sorted(
        pointer.path.removesuffix(f"/{MODEL_FILE}")
        for pointer in everything
        if pointer.path.endswith(f"/{MODEL_FILE}")
    )
    return f"its models are {', '.join(map(repr, names))}" if names else "it has none that log_model wrote"


def _written_with(description: Path) -> str:
    try:
        versions = json.loads(description.read_bytes())["versions"]
        return "; it was written with " + ", ".join(f"{name} {version}" for name, version in versions.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""


def _folder(dst: str | PathLike[str] | None) -> Path | None:
    if dst is None:
        return None
    try:
        folder = Path(dst).absolute()
    except (TypeError, ValueError, OSError) as wrong:
        raise InvalidInputError(f"dst: {shown(dst)} is no folder's path ({wrong})") from None
    if folder.exists() and not folder.is_dir():
        raise InvalidInputError(f"dst: {str(folder)!r} is a file; expected a folder")
    return folder


def _stripped(path: Any) -> Any:
    return path.rstrip("/") if isinstance(path, str) else path
