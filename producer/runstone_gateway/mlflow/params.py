"""Params: the first value of a key stays."""

from collections.abc import Mapping
from typing import Final

from runstone.events.types import Param
from runstone_gateway.clock import now_ms
from runstone_gateway.mlflow import rules
from runstone_gateway.mlflow.errors import invalid
from runstone_gateway.mlflow.messages import message
from runstone_gateway.mlflow.routing import Call, Write
from runstone_gateway.mlflow.runs import acknowledged, named_run
from runstone_gateway.mlflow.services import Services
from runstone_gateway.undelivered import Conclusion


async def log_param(services: Services, call: Call) -> Conclusion:
    """``runs/log-parameter``; the same value again is no change, another one is refused."""
    run_id, key = named_run(call.fields), call.fields["key"]
    value = rules.checked_param(key, call.fields.get("value", ""))
    run = await services.writes.run(run_id, params=(key,))
    rules.active_run(run_id, run)
    assert run is not None
    if key in run.params:
        if run.params[key] != value:
            raise invalid(
                f"Changing param values is not allowed. Param with key='{key}' was already logged with "
                f"value='{run.params[key]}' for run ID='{run_id}'. Attempted logging new value '{value}'."
            )
        return acknowledged(services.ledger.pending(run_id), {})
    written = services.writes.append(run_id, [Param(key, value, now_ms())], params={key: value})
    return acknowledged(written, {})


def new_params(run_id: str, had: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Those of *given* that the run has not. Raises `MlflowError` where one has another value."""
    changed = [
        {"key": key, "old_value": had[key], "new_value": value}
        for key, value in given.items()
        if key in had and had[key] != value
    ]
    if changed:
        raise invalid(
            f"Changing param values is not allowed. Params were already logged='{changed}' "
            f"for run ID='{run_id}'."
        )
    return {key: value for key, value in given.items() if key not in had}


ROUTES: Final = (
    Write(
        "POST", "/runs/log-parameter", log_param,
        message("run_id", "run_uuid", "key", "value"), ("run_id", "key"),
    ),
)  # fmt: skip
