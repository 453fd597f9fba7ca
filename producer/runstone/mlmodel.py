"""The files that make a folder a model for MLflow: ``MLmodel`` and three descriptions of its environment.

Facts in, texts out; mlflow is not needed. ``mlflow.sklearn.load_model`` and ``mlflow.pyfunc.load_model`` of
MLflow 2 and 3 read them. Texts are quoted so that YAML takes them for texts whatever they hold.
"""

import importlib.metadata
import platform
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

MLMODEL_FILE: Final = "MLmodel"
LAYOUT_OF: Final = "3.17.2"
"""The MLflow whose layout this is; said in ``MLmodel`` where none is installed."""

_BUILD_TOOLS: Final = ("pip", "setuptools", "wheel")


@dataclass(frozen=True, slots=True)
class Layout:
    """What is to be said of a pickled scikit-learn estimator.

    Attributes:
        run_id, path: the run that logged it, and the folder within its artifacts.
        pickled: the name of the pickle's file in that folder.
        serialization: ``pickle`` or ``cloudpickle``: what must read it.
        predicts: whether it has a ``predict``, without which it is no python_function.
        sklearn_version: of the scikit-learn that it was fitted with.
        requirements: ``name==version`` of what must be installed to read it, MLflow excepted.
    """

    run_id: str
    path: str
    pickled: str
    serialization: str
    predicts: bool
    sklearn_version: str
    requirements: Sequence[str]


def mlmodel(layout: Layout, size: int) -> str:
    """The text of ``MLmodel``; *size* is that of the pickle in bytes."""
    flavors: dict[str, Any] = {}
    if layout.predicts:
        flavors["python_function"] = {
            "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
            "loader_module": "mlflow.sklearn",
            "model_path": layout.pickled,
            "predict_fn": "predict",
            "python_version": platform.python_version(),
        }
    flavors["sklearn"] = {
        "code": None,
        "pickled_model": layout.pickled,
        "serialization_format": layout.serialization,
        "sklearn_version": layout.sklearn_version,
    }
    return _yaml(
        {
            "artifact_path": layout.path,
            "flavors": flavors,
            "mlflow_version": _version("mlflow") or LAYOUT_OF,
            "model_size_bytes": size,
            "model_uuid": uuid.uuid4().hex,
            "run_id": layout.run_id,
            "utc_time_created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
        }
    )


def environment_files(layout: Layout) -> dict[str, str]:
    """``requirements.txt``, ``python_env.yaml`` and ``conda.yaml``, by name."""
    python = platform.python_version()
    version = _version("mlflow")
    required = [f"mlflow=={version}" if version else "mlflow", *layout.requirements]
    tools = [f"{name}=={found}" if (found := _version(name)) else name for name in _BUILD_TOOLS]
    return {
        "requirements.txt": "".join(f"{each}\n" for each in required),
        "python_env.yaml": _yaml(
            {
                "python": python,
                "build_dependencies": tools,
                "dependencies": ["-r requirements.txt"],
            }
        ),
        "conda.yaml": _yaml(
            {
                "channels": ["conda-forge"],
                "dependencies": [f"python={python}", "pip", {"pip": required}],
                "name": "mlflow-env",
            }
        ),
    }


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _yaml(found: Mapping[str, Any]) -> str:
    return "\n".join(_mapping(found)) + "\n"


def _mapping(found: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for key, value in found.items():
        if isinstance(value, Mapping):
            lines += [f"{key}:", *(f"  {line}" for line in _mapping(value))]
        elif isinstance(value, list):
            lines += [f"{key}:", *_sequence(value)]
        else:
            lines.append(f"{key}: {_scalar(value)}")
    return lines


def _sequence(found: Sequence[Any]) -> list[str]:
    lines: list[str] = []
    for value in found:
        first, *rest = _mapping(value) if isinstance(value, Mapping) else [_scalar(value)]
        lines += [f"- {first}", *(f"  {line}" for line in rest)]
    return lines


def _scalar(value: str | int | None) -> str:
    if value is None:
        return "null"
    if isinstance(value, int):
        return str(value)
    plain = (c if " " <= c <= "~" and c not in '"\\' else f"\\U{ord(c):08x}" for c in value)
    return f'"{"".join(plain)}"'
