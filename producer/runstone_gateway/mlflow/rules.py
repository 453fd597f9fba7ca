"""MLflow's limits and key rules, with its messages; and what the event contract cannot hold besides."""

import json
import posixpath
import re
from collections.abc import Mapping
from typing import Any, Final

from runstone.events.limits import (
    EXPERIMENT_ID_MAX,
    INDEXED_MAX,
    KEY_MAX,
    PARAM_VALUE_MAX,
    TAG_VALUE_MAX,
    TIME_MAX,
)
from runstone_gateway.mlflow.errors import MlflowError, invalid, missing
from runstone_gateway.overlay import Subject

EXPERIMENT_TAG_VALUE_MAX: Final = 20_000
ARTIFACT_LOCATION_MAX: Final = 2048
METRICS_PER_BATCH: Final = 1000
PARAMS_PER_BATCH: Final = 100
TAGS_PER_BATCH: Final = 100
ENTITIES_PER_BATCH: Final = 1000
DATASETS_PER_REQUEST: Final = 300
DATASET_NAME_MAX: Final = 500
DATASET_DIGEST_MAX: Final = 36
DATASET_SCHEMA_MAX: Final = 1_048_575
DATASET_SOURCE_MAX: Final = 65_535
DATASET_PROFILE_MAX: Final = 16_777_215
INPUT_TAG_KEY_MAX: Final = 255
INPUT_TAG_VALUE_MAX: Final = 500
"""Characters, or entities; MLflow's, but for the number of datasets: they are looked up in one request."""

RUN_NAME_TAG: Final = "mlflow.runName"
"""The tag and the run's name are one: whoever sets either sets both."""

_NAME: Final = re.compile(r"[/\w.\- :]*")
_RUN_ID: Final = re.compile(r"[a-zA-Z0-9][\w\-]{0,255}\n?")


def unfit(path: str, value: Any, why: str = "") -> MlflowError:
    """The refusal of a value that breaks a rule."""
    shown = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return invalid(f"Invalid value {shown} for parameter '{path}' supplied" + (f": {why}" if why else "."))


def check_name(name: str, path: str) -> None:
    """The rule of the keys of metrics, params and tags. Raises `MlflowError`."""
    if not _NAME.fullmatch(name):
        raise unfit(
            path,
            name,
            "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), "
            "colon(:) and slashes (/).",
        )
    resolved = posixpath.normpath(name)
    if resolved != name or resolved == "." or resolved.startswith(("..", "/")):
        raise unfit(
            path,
            name,
            "Names may be treated as files in certain cases, and must not resolve to other names when "
            f"treated as such. This name would resolve to {resolved!r}",
        )


def check_length(what: str, limit: int, value: str) -> None:
    """Raises `MlflowError` where *value* is longer than *limit* characters."""
    if len(value) > limit:
        raise invalid(f"'{what}' exceeds the maximum length of {limit} characters")


def check_metric_name(key: str, path: str) -> None:
    """Raises `MlflowError`."""
    check_name(key, path)
    check_length("Metric name", KEY_MAX, key)


def check_time(key: str, value: float, timestamp: int, path: str) -> None:
    """A point's timestamp. Raises `MlflowError`."""
    if timestamp < 0:
        raise unfit(
            path,
            timestamp,
            f"metric '{key}' (value={value}). Timestamp must be a nonnegative long (64-bit integer) ",
        )
    if timestamp > TIME_MAX:
        raise unfit(path, timestamp, f"metric '{key}' (value={value}). Timestamp must be in milliseconds.")


def checked_param(key: str, value: str, path: str = "key") -> str:
    """The value as it is kept, cut to MLflow's limit. Raises `MlflowError`."""
    check_name(key, path)
    check_length("Param key", KEY_MAX, key)
    return value[:PARAM_VALUE_MAX]


def checked_tag(key: str, value: str, path: str = "key") -> str:
    """The value as it is kept, cut to MLflow's limit. Raises `MlflowError`."""
    check_name(key, path)
    check_length(path, KEY_MAX, key)
    return value[:TAG_VALUE_MAX]


def check_experiment_tag(key: str, value: str) -> None:
    """Raises `MlflowError`."""
    check_name(key, "key")
    check_length("key", KEY_MAX, key)
    check_length("value", EXPERIMENT_TAG_VALUE_MAX, value)


def check_indexed(what: str, *texts: str) -> None:
    """Texts that the read model keeps in one index entry. Raises `MlflowError` where they are too long."""
    if sum(len(text.encode()) for text in texts) > INDEXED_MAX:
        raise invalid(f"{what} must have at most {INDEXED_MAX} bytes of UTF-8 together")


def check_batch_length(what: str, limit: int, length: int) -> None:
    """Raises `MlflowError` where a batch holds more than *limit*."""
    if length > limit:
        raise invalid(
            f"A batch logging request can contain at most {limit} {what}. Got {length} {what}. "
            f"Please split up {what} across multiple requests and try again."
        )


def check_run_id(run_id: str) -> None:
    """The form of an id, which some requests check and others do not. Raises `MlflowError`."""
    if not _RUN_ID.fullmatch(run_id):
        raise unfit("run_id", run_id)


def experiment_id(text: str) -> int:
    """The number in an experiment's id; "" is the default experiment. Raises `MlflowError`."""
    try:
        found = int(text or "0")
    except ValueError:
        raise invalid(f"Invalid experiment ID '{text}'. Experiment ID must be a valid integer.") from None
    if not 0 <= found <= EXPERIMENT_ID_MAX:
        raise no_experiment(found)
    return found


def no_experiment(found: int) -> MlflowError:
    """There is none of this id."""
    return missing(f"No Experiment with id={found} exists")


def active_run(run_id: str, run: Subject | None) -> Mapping[str, Any]:
    """The fields of a run that can be written to. Raises `MlflowError`."""
    fields = known_run(run_id, run)
    if fields["lifecycle_stage"] != "active":
        raise invalid(
            f"The run {run_id} must be in the 'active' state. Current state is {fields['lifecycle_stage']}."
        )
    return fields


def known_run(run_id: str, run: Subject | None) -> Mapping[str, Any]:
    """The fields of a run that exists. Raises `MlflowError`."""
    if run is None:
        raise missing(f"Run with id={run_id} not found")
    return run.fields


def check_active_experiment(found: int, lifecycle_stage: str) -> None:
    """Raises `MlflowError`."""
    if lifecycle_stage != "active":
        raise invalid(
            f"The experiment {found} must be in the 'active' state. Current state is {lifecycle_stage}."
        )


def check_key(key: str) -> None:
    """What every key of the event contract must be, where MLflow itself has no rule. Raises `MlflowError`."""
    if not 1 <= len(key) <= KEY_MAX or any(c < " " or "\x7f" <= c <= "\x9f" for c in key):
        raise unfit("key", key, f"A key has 1 to {KEY_MAX} characters and no control characters.")
