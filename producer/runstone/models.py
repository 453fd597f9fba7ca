"""A fitted object as two artifacts: the pickle, and a description that can be read without unpickling."""

import json
import pickle
import platform
import sys
from pathlib import Path
from typing import Any

from runstone.exceptions import InvalidInputError
from runstone.inputs import clean

MODEL_FILE = "model.pkl"
DESCRIPTION_FILE = "model.json"

_TEXT_MOST = 500


def dump_model(model: object, target: Path) -> None:
    """Write *model* to *target*, by joblib where it is installed (large arrays), else by pickle.

    Raises:
        InvalidInputError: it cannot be pickled.
        OSError: the file cannot be written.
    """
    joblib = _joblib()
    try:
        if joblib is not None:
            joblib.dump(model, target)
        else:
            with target.open("wb") as file:
                pickle.dump(model, file, protocol=5)
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
    joblib = _joblib()
    library = cls.__module__.split(".")[0]
    versions = {"python": platform.python_version()}
    for name in (library, "numpy", "joblib"):
        if version := getattr(sys.modules.get(name), "__version__", None):
            versions[name] = str(version)
    found = {
        "class": f"{cls.__module__}.{cls.__qualname__}",
        "file": MODEL_FILE,
        "format": "pickle" if joblib is None else "joblib",
        "versions": versions,
        "parameters": _parameters(model),
    }
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _parameters(model: object) -> dict[str, str]:
    """What scikit-learn's ``get_params`` says, each value as a short text; empty for other objects."""
    try:
        found = model.get_params(deep=False)  # type: ignore[attr-defined]
        return {clean(str(name)): clean(repr(value), _TEXT_MOST) for name, value in found.items()}
    except Exception:  # other objects have none, or one that means something else
        return {}


def _joblib() -> Any:
    try:
        import joblib  # noqa: PLC0415  # optional, and heavy
    except ImportError:
        return None
    return joblib
