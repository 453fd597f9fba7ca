"""``runs/log-batch``: points, params and tags of one run, all of them or none."""

from collections.abc import Mapping
from typing import Any, Final

from runstone.events import Event
from runstone.events.types import Param
from runstone_gateway.clock import now_ms
from runstone_gateway.mlflow import rules
from runstone_gateway.mlflow.decoding import UnfitError, lacks, unfit_parameter
from runstone_gateway.mlflow.errors import invalid
from runstone_gateway.mlflow.messages import AS_IT_IS, TAG, Field, many, message
from runstone_gateway.mlflow.metrics import check_present, points_of
from runstone_gateway.mlflow.params import new_params
from runstone_gateway.mlflow.routing import Call, Write
from runstone_gateway.mlflow.runs import acknowledged
from runstone_gateway.mlflow.services import Services
from runstone_gateway.mlflow.tags import naming, tagging
from runstone_gateway.undelivered import Conclusion


async def log_batch(services: Services, call: Call) -> Conclusion:
    """Everything is checked before anything is appended, in MLflow's order."""
    run_id, metrics = call.fields["run_id"], call.fields.get("metrics", [])
    given, tagged = call.fields.get("params", []), call.fields.get("tags", [])
    rules.check_run_id(run_id)
    points = points_of(metrics)
    params = [
        (param["key"], rules.checked_param(param["key"], param.get("value", ""), f"params[{i}].key"))
        for i, param in enumerate(given)
    ]
    tags = [
        (tag["key"], rules.checked_tag(tag["key"], tag.get("value", ""), f"tags[{i}].key"))
        for i, tag in enumerate(tagged)
    ]
    _check_lengths(len(metrics), len(params), len(tags))
    values = dict(params)
    if len(values) < len(params):
        keys = [key for key, _ in params]
        raise invalid(
            f"Duplicate parameter keys have been submitted: "
            f"{[key for i, key in enumerate(keys) if key in keys[:i]]}. Please ensure the request contains "
            "only one param value per param key."
        )
    run = await services.writes.run(run_id, params=tuple(values))
    rules.active_run(run_id, run)
    assert run is not None
    new, now = new_params(run_id, run.params, values), now_ms()
    events: list[Event] = [Param(key, value, now) for key, value in new.items()]
    changed: dict[str, str] = {}
    for key, value in tags:
        events += tagging(key, value, now)
        changed |= naming(key, value)
    if not events and not points:
        return acknowledged(services.ledger.pending(run_id), {})
    written = services.writes.append(run_id, events, points, fields=changed, params=new, tags=dict(tags))
    return acknowledged(written, {})


def _check_lengths(metrics: int, params: int, tags: int) -> None:
    rules.check_batch_length("metrics", rules.METRICS_PER_BATCH, metrics)
    rules.check_batch_length("params", rules.PARAMS_PER_BATCH, params)
    rules.check_batch_length("tags", rules.TAGS_PER_BATCH, tags)
    everything = metrics + params + tags
    rules.check_batch_length("metrics, params, and tags", rules.ENTITIES_PER_BATCH, everything)


def _check_present(found: Mapping[str, Any]) -> None:
    """What MLflow looks at before anything else."""
    metrics = found.get("metrics")
    if metrics is not None:
        if type(metrics) is not list:
            raise unfit_parameter(UnfitError("metrics", metrics, ""))
        check_present(metrics)
    for kind in ("params", "tags"):
        for i, member in enumerate(found.get(kind) or ()):
            if not member.get("key"):
                raise lacks(f"{kind}[{i}].key")


ROUTES: Final = (
    Write(
        "POST", "/runs/log-batch", log_batch,
        message(
            "run_id", metrics=Field("metrics", AS_IT_IS), params=many("params", TAG), tags=many("tags", TAG)
        ),
        ("run_id",), _check_present,
    ),
)  # fmt: skip
