"""The rules of logged models, which live in their source run's stream or in one of their own."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from runstone.events import types
from runstone_ingest.projector.rows import Model


def _created(model: Model, event: types.ModelCreated) -> None:
    if model.creation_time is None:
        model.experiment_id, model.name = event.experiment_id, event.name
        model.model_type, model.source_run_id = event.model_type, event.source_run_id
        model.creation_time = event.time
    model.params = {**event.params, **model.params}
    model.tags = {**model.tags, **event.tags}


def _finalized(model: Model, event: types.ModelFinalized) -> None:
    model.status = event.status


def _params(model: Model, event: types.ModelParams) -> None:
    model.params = {**event.params, **model.params}


def _tags(model: Model, event: types.ModelTags) -> None:
    model.tags = {**model.tags, **event.tags}


def _tag_deleted(model: Model, event: types.ModelTagDeleted) -> None:
    model.tags = {key: value for key, value in model.tags.items() if key != event.key}


def _deleted(model: Model, _event: types.ModelDeleted) -> None:
    model.lifecycle_stage = "deleted"


ON_A_MODEL: Final[Mapping[type, Callable[[Model, Any], None]]] = {
    types.ModelCreated: _created,
    types.ModelFinalized: _finalized,
    types.ModelParams: _params,
    types.ModelTags: _tags,
    types.ModelTagDeleted: _tag_deleted,
    types.ModelDeleted: _deleted,
}
"""Rules that change a logged model's row. Each also moves ``last_update_time`` to the event's time."""
