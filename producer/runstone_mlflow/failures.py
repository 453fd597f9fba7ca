"""How the plug-in says what went wrong: MLflow's exceptions, with MLflow's codes and words."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INVALID_PARAMETER_VALUE,
    RESOURCE_ALREADY_EXISTS,
    TEMPORARILY_UNAVAILABLE,
)

from runstone.exceptions import InvalidInputError


class Unanswered(Exception):
    """A server was asked once, for a moment, and could not answer: whoever asked goes on without it."""


@contextmanager
def in_mlflows_words() -> Iterator[None]:
    """Raise what Runstone's client refuses as MLflow's exception."""
    try:
        yield
    except InvalidInputError as wrong:
        raise invalid(str(wrong)) from None


def invalid(message: str) -> MlflowException:
    """400 INVALID_PARAMETER_VALUE."""
    return MlflowException(message, INVALID_PARAMETER_VALUE)


def deleted_run(run_id: str) -> MlflowException:
    """A write to a run that this process has deleted."""
    return invalid(f"The run {run_id} must be in the 'active' state. Current state is deleted.")


def deleted_experiment(experiment_id: str) -> MlflowException:
    """A run in an experiment that is deleted."""
    return invalid(f"The experiment {experiment_id} must be in the 'active' state. Current state is deleted.")


def changed_param(run_id: str, key: str, old: str, new: str) -> MlflowException:
    """Another value for a param."""
    return invalid(
        f"Changing param values is not allowed. Param with key='{key}' was already logged with value='{old}' "
        f"for run ID='{run_id}'. Attempted logging new value '{new}'."
    )


def changed_params(run_id: str, changed: list[dict[str, str]]) -> MlflowException:
    """Other values for params of a batch; *changed* has ``key``, ``old_value`` and ``new_value`` of each."""
    return invalid(
        f"Changing param values is not allowed. Params were already logged='{changed}' for run ID='{run_id}'."
    )


def existing_experiment(name: str) -> MlflowException:
    """An experiment that this process has created already."""
    return MlflowException(f"Experiment '{name}' already exists in this process.", RESOURCE_ALREADY_EXISTS)


def unread(message: str) -> MlflowException:
    """A read that cannot be answered now."""
    return MlflowException(message, TEMPORARILY_UNAVAILABLE)
