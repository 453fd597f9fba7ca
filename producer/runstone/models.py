"""A fitted object as artifacts: its pickle, a description that can be read without unpickling, and, for an
estimator of scikit-learn's kind, the files around them that MLflow loads it by (`runstone.mlmodel`).
"""

import importlib.metadata
import json
import pickle
import platform
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from runstone.exceptions import InvalidInputError
from runstone.inputs import clean
from runstone.mlmodel import MLMODEL_FILE, Layout, environment_files, mlmodel

MODEL_FILE: Final = "model.pkl"
DESCRIPTION_FILE: Final = "model.json"

_TEXT_MOST: Final = 500
_ALWAYS_REQUIRED: Final = ("scikit-learn", "numpy", "scipy", "cloudpickle")
_DISTRIBUTIONS: Final = {"sklearn": "scikit-learn", "imblearn": "imbalanced-learn"}


class ModelFile(NamedTuple):
    """One file of a model: its name, and what writes it to the path it is given."""

    name: str
    write: Callable[[Path], None]


def model_files(model: object, *, run_id: str, path: str) -> list[ModelFile]:
    """The files of *model* in the order in which they must be written.

    The pickle comes first, because the others tell its size; ``MLmodel`` last: who finds it finds the rest.

    Args:
        model: anything that can be pickled.
        run_id: of the run that logs it.
        path: the model's folder within the run's artifacts.
    """
    size = 0

    def dump(target: Path) -> None:
        nonlocal size
        dump_model(model, target)
        size = target.stat().st_size

    files = [ModelFile(MODEL_FILE, dump), _text(DESCRIPTION_FILE, lambda: describe_model(model))]
    if not is_estimator(model):
        return files
    layout = Layout(
        run_id=run_id,
        path=path,
        pickled=MODEL_FILE,
        serialization="pickle" if _cloudpickle() is None else "cloudpickle",
        predicts=callable(getattr(model, "predict", None)),
        sklearn_version=str(getattr(sys.modules["sklearn"], "__version__", "")),
        requirements=requirements(model),
    )
    files += [_text(name, partial(str, text)) for name, text in environment_files(layout).items()]
    files.append(_text(MLMODEL_FILE, lambda: mlmodel(layout, size)))
    return files


def is_estimator(model: object) -> bool:
    """Whether *model* is of scikit-learn's kind; asked without importing it."""
    base = getattr(sys.modules.get("sklearn.base"), "BaseEstimator", None)
    return base is not None and isinstance(model, base)


def dump_model(model: object, target: Path) -> None:
    """Write *model* to *target*: by cloudpickle where it is installed, else by pickle.

    Raises:
        InvalidInputError: it cannot be pickled.
        OSError: the file cannot be written.
    """
    pickler = _cloudpickle() or pickle
    try:
        with target.open("wb") as file:
            pickler.dump(model, file, protocol=5)
    except OSError:
        raise
    except Exception as wrong:  # whatever the __reduce__ of a foreign type raises
        raise InvalidInputError(
            f"the model of type {type(model).__qualname__} cannot be pickled "
            f"({type(wrong).__name__}: {wrong}); log it as a file of its own format by log_artifact"
        ) from wrong


def describe_model(model: object) -> str:
    """The description as JSON: class, how it was written, versions, parameters."""
    cls = type(model)
    library = cls.__module__.split(".")[0]
    versions = {"python": platform.python_version()}
    for name in (library, "numpy", "cloudpickle"):
        if version := getattr(sys.modules.get(name), "__version__", None):
            versions[name] = str(version)
    found = {
        "class": f"{cls.__module__}.{cls.__qualname__}",
        "file": MODEL_FILE,
        "format": "pickle" if _cloudpickle() is None else "cloudpickle",
        "versions": versions,
        "parameters": _parameters(model),
    }
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def requirements(model: object) -> list[str]:
    """What ``pip`` must install to unpickle an estimator: ``name==version``, sorted.

    Its own library, those of the estimators within it, and what every estimator needs.
    """
    found = {name: version for name in _ALWAYS_REQUIRED if (version := _version(name))}
    for value in [model, *_deep_parameters(model)]:
        library = type(value).__module__.split(".")[0]
        if is_estimator(value) and library != "__main__":
            name = _DISTRIBUTIONS.get(library, library)
            if version := _version(name):
                found[name] = version
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _deep_parameters(model: object) -> list[object]:
    try:
        return list(model.get_params(deep=True).values())  # type: ignore[attr-defined]
    except Exception:  # a foreign estimator's own code
        return []


def _parameters(model: object) -> dict[str, str]:
    """What scikit-learn's ``get_params`` says, each value as a short text; empty for other objects."""
    try:
        found = model.get_params(deep=False)  # type: ignore[attr-defined]
        return {clean(str(name)): clean(repr(value), _TEXT_MOST) for name, value in found.items()}
    except Exception:  # other objects have none, or one that means something else
        return {}


def _text(name: str, tell: Callable[[], str]) -> ModelFile:
    def write(target: Path) -> None:
        target.write_text(tell(), encoding="utf-8")

    return ModelFile(name, write)


def _cloudpickle() -> Any:
    try:
        import cloudpickle  # noqa: PLC0415  # optional
    except ImportError:
        return None
    return cloudpickle
