"""What a run reads and makes: datasets, and logged models on either side."""

from collections.abc import Mapping
from typing import Any, Final

from runstone.events import Event
from runstone.events.types import DatasetInput, ModelInput, ModelOutput
from runstone_gateway.clock import now_ms
from runstone_gateway.mlflow import rules
from runstone_gateway.mlflow.errors import BAD_REQUEST, MlflowError, invalid
from runstone_gateway.mlflow.messages import INTEGER, TAG, many, message
from runstone_gateway.mlflow.routing import Call, Write
from runstone_gateway.mlflow.runs import acknowledged
from runstone_gateway.mlflow.services import Services
from runstone_gateway.undelivered import Conclusion

FIELD_MOST: Final = 64 * 1024
"""Bytes of a dataset's field; what is larger lies in the artifact store and the event names it."""

_LARGE: Final = ("schema", "profile", "source")


async def log_inputs(services: Services, call: Call) -> Conclusion:
    """``runs/log-inputs``; a dataset that the run has already stays as it was logged first."""
    run_id = call.fields["run_id"]
    rules.check_run_id(run_id)
    datasets: dict[tuple[str, str], tuple[dict[str, str], dict[str, str]]] = {}
    for found in call.fields.get("datasets", ()):
        dataset, tags = found.get("dataset", {}), found.get("tags", ())
        _check_dataset(dataset)
        checked = {tag.get("key", ""): tag.get("value", "") for tag in tags}
        if len(checked) < len(tags):
            raise MlflowError(BAD_REQUEST, "A tag of a dataset is given more than once.")
        for key, value in checked.items():
            rules.check_length("key", rules.INPUT_TAG_KEY_MAX, key)
            rules.check_length("value", rules.INPUT_TAG_VALUE_MAX, value)
            rules.check_key(key)
        name = dataset.get("name", ""), dataset.get("digest", "")
        datasets.setdefault(name, (dict(dataset), checked))
    rules.check_batch_length("datasets", rules.DATASETS_PER_REQUEST, len(datasets))
    models = [model.get("model_id", "") for model in call.fields.get("models", ())]
    for model_id in models:
        rules.check_indexed("The id of a model", model_id)
    fields = rules.active_run(run_id, await services.writes.run(run_id))
    stored = {}
    for name, (dataset, _) in datasets.items():
        stored[name] = await _store_large(services, fields["experiment_id"], run_id, dataset)
    run = await services.writes.run(run_id, datasets=tuple(datasets))
    rules.active_run(run_id, run)
    assert run is not None
    datasets = {name: given for name, given in datasets.items() if name not in run.datasets}
    now = now_ms()
    events: list[Event] = [
        DatasetInput(time=now, tags=tags, stored=stored[name], **_complete(dataset))
        for name, (dataset, tags) in datasets.items()
    ]
    events += [ModelInput(model_id, now) for model_id in models]
    if not events:
        return acknowledged(services.ledger.pending(run_id), {})
    return acknowledged(services.writes.append(run_id, events, datasets=tuple(datasets)), {})


async def log_outputs(services: Services, call: Call) -> Conclusion:
    """``runs/outputs``."""
    run_id = call.fields["run_id"]
    models = [(model.get("model_id", ""), model.get("step", 0)) for model in call.fields["models"]]
    for model_id, _ in models:
        rules.check_indexed("The id of a model", model_id)
    rules.active_run(run_id, await services.writes.run(run_id))
    now = now_ms()
    events: list[Event] = [ModelOutput(model_id, step, now) for model_id, step in models]
    if not events:
        return acknowledged(None, {})
    return acknowledged(services.writes.append(run_id, events), {})


def _complete(dataset: Mapping[str, str]) -> dict[str, Any]:
    return {"name": "", "digest": ""} | dict(dataset)


async def _store_large(
    services: Services, experiment_id: int, run_id: str, dataset: dict[str, str]
) -> dict[str, str]:
    """Move what is too large for an event into the store: field -> hash; the field itself becomes empty."""
    stored = {}
    for field in _LARGE:
        text = dataset.get(field, "").encode()
        if len(text) > FIELD_MOST:
            stored[field] = await services.large_fields.put(experiment_id, run_id, text)
            dataset[field] = ""
    return stored


def _check_dataset(dataset: Mapping[str, str]) -> None:
    limits = (
        ("name", rules.DATASET_NAME_MAX),
        ("digest", rules.DATASET_DIGEST_MAX),
        ("source", rules.DATASET_SOURCE_MAX),
        ("schema", rules.DATASET_SCHEMA_MAX),
        ("profile", rules.DATASET_PROFILE_MAX),
    )
    for field, limit in limits:
        rules.check_length(field, limit, dataset.get(field, ""))
    rules.check_indexed("A dataset's name and digest", dataset.get("name", ""), dataset.get("digest", ""))
    if len(dataset.get("source_type", "")) > rules.DATASET_NAME_MAX:
        raise invalid(f"'source_type' exceeds the maximum length of {rules.DATASET_NAME_MAX} characters")


_DATASET: Final = message("name", "digest", "source_type", "source", "schema", "profile")

ROUTES: Final = (
    Write(
        "POST", "/runs/log-inputs", log_inputs,
        message(
            "run_id",
            datasets=many("datasets", message(tags=many("tags", TAG), dataset=_DATASET)),
            models=many("models", message("model_id")),
        ),
        ("run_id",),
    ),
    Write(
        "POST", "/runs/outputs", log_outputs,
        message("run_id", models=many("models", message("model_id", step=INTEGER))),
        ("run_id", "models"),
    ),
)  # fmt: skip
