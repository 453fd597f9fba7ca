"""What MLflow's calls hand in, as events of the contract. Pure, but for the clock and the run's context.

Lengths were checked before; what Postgres cannot hold (NUL, half surrogate pairs) is replaced, as everywhere.
"""

from collections.abc import Mapping
from typing import Any, Final

from mlflow.entities import DatasetInput, Metric
from mlflow.utils.mlflow_tags import (
    MLFLOW_GIT_COMMIT,
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_SOURCE_NAME,
    MLFLOW_USER,
)

from runstone.context import quick_context
from runstone.events import limits, types
from runstone.inputs import clean, number, step_number, time_numbers
from runstone.run_stream import Identity, now_ms

_MADE_BY_MLFLOW: Final = {"client": "mlflow"}
"""In the context of a run: its tags are all the tags it has, none is derived for MLflow's eyes."""

_ORIGIN: Final = {MLFLOW_USER: "user", MLFLOW_SOURCE_NAME: "source", MLFLOW_GIT_COMMIT: "git_commit"}
"""Tags that native readers find in a run's context, and the names there."""

_TEXT_MOST: Final = limits.EVENT_MAX


def run_started(
    identity: Identity, experiment_name: str, time: int, user: str, tags: Mapping[str, str] | None
) -> types.RunStarted:
    """A run begins, or a new attempt of it, where *tags* is None; tags of its origin are context as well."""
    context = quick_context(-1)
    if tags is not None:
        context |= _MADE_BY_MLFLOW
        context |= {fact: clean(tags[tag]) for tag, fact in _ORIGIN.items() if tag in tags}
    return types.RunStarted(
        experiment_id=identity.experiment_id,
        experiment_name=experiment_name,
        name=clean(identity.name, limits.RUN_NAME_MAX),
        time=time,
        user=clean(user),
        parent_run_id=clean((tags or {}).get(MLFLOW_PARENT_RUN_ID, "")),
        context=context,
    )


def tags(found: Mapping[str, str]) -> list[types.Event]:
    """Tags to set now."""
    now = now_ms()
    return [types.Tag(key, clean(value), now) for key, value in found.items()]


def param(key: str, value: str) -> types.Param:
    """A param as of now."""
    return types.Param(key, clean(value, limits.PARAM_VALUE_MAX), now_ms())


def point(metric: Metric) -> tuple[str, float, int, int]:
    """A metric's key, value, step and time as a point has them.

    Raises:
        InvalidInputError: one of them cannot be recorded.
    """
    key = metric.key
    [time] = time_numbers([int(metric.timestamp)], key)
    return key, number(metric.value, key), step_number(int(metric.step), key), time


def dataset_size(found: DatasetInput) -> int:
    """About how many bytes the event of a dataset takes."""
    dataset = found.dataset
    return sum(len((text or "").encode()) for text in (dataset.schema, dataset.profile, dataset.source))


def dataset_input(found: DatasetInput) -> types.DatasetInput:
    """A dataset that the run read, as of now."""
    dataset = found.dataset
    said: dict[str, Any] = {
        field: clean(text, _TEXT_MOST)
        for field in ("source_type", "source", "schema", "profile")
        if (text := getattr(dataset, field))
    }
    return types.DatasetInput(
        name=clean(dataset.name),
        digest=clean(dataset.digest),
        time=now_ms(),
        tags={tag.key: clean(tag.value) for tag in found.tags or ()},
        **said,
    )
