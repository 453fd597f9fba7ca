"""Metric points, one or a batch of them, as the columns of an envelope.

A batch of a thousand points is checked key by key, not point by point, and no object is made for a point:
this is the path of every training loop.
"""

from collections.abc import Mapping
from typing import Any, Final

from runstone.events import PointTable
from runstone.events.limits import TIME_MAX
from runstone.events.types import SeriesKey
from runstone_gateway.ledger import point_table
from runstone_gateway.mlflow import rules
from runstone_gateway.mlflow.decoding import (
    UnfitError,
    convert,
    integer,
    lacks,
    number,
    refuse_two_names,
    text,
    unfit_parameter,
)
from runstone_gateway.mlflow.errors import invalid
from runstone_gateway.mlflow.messages import INTEGER, METRIC, NUMBER, message
from runstone_gateway.mlflow.routing import Call, Write
from runstone_gateway.mlflow.runs import acknowledged, named_run
from runstone_gateway.mlflow.services import Services
from runstone_gateway.undelivered import Conclusion

_PLAIN: Final = frozenset(("key", "value", "timestamp", "step"))


async def log_metric(services: Services, call: Call) -> Conclusion:
    """``runs/log-metric``."""
    run_id = named_run(call.fields)
    points = point_table()
    index: dict[SeriesKey, int] = {}
    _add(points, index, call.fields, "")
    points.keys = tuple(index)
    rules.active_run(run_id, await services.writes.run(run_id))
    return acknowledged(services.writes.append(run_id, [], points), {})


def points_of(metrics: list[Any]) -> PointTable:
    """The points of a batch, from its JSON. Raises `MlflowError`."""
    points = point_table()
    index: dict[SeriesKey, int] = {}
    plain: dict[str, int] = {}
    k, s, t, v = points.k.append, points.s.append, points.t.append, points.v.append
    for i, found in enumerate(metrics):
        try:
            if found.keys() != _PLAIN:
                refuse_two_names(METRIC, found)
                _add(points, index, convert(METRIC, found, f"metrics[{i}]"), f"metrics[{i}].")
                continue
            key, value, timestamp, step = found["key"], found["value"], found["timestamp"], found["step"]
            if type(value) is not float:
                value = number(value, f"metrics[{i}].value")
            if type(timestamp) is not int:
                timestamp = integer(timestamp, f"metrics[{i}].timestamp")
            if type(step) is not int or not -(2**63) <= step < 2**63:
                step = 0 if step is None else integer(step, f"metrics[{i}].step")
            if type(key) is not str or (at := plain.get(key)) is None:
                text(key, f"metrics[{i}].key")
                rules.check_metric_name(key, f"metrics[{i}].name")
                at = plain[key] = _series(index, SeriesKey(key))
            if not 0 <= timestamp <= TIME_MAX:
                rules.check_time(key, value, timestamp, f"metrics[{i}].timestamp")
        except UnfitError as wrong:
            raise unfit_parameter(wrong) from None
        k(at)
        s(step)
        t(timestamp)
        v(value)
    points.keys = tuple(index)
    return points


def check_present(metrics: list[Any]) -> None:
    """Every metric has what it must have. Raises `MlflowError`."""
    for i, found in enumerate(metrics):
        if type(found) is not dict:
            raise unfit_parameter(UnfitError(f"metrics[{i}]", found, ""))
        for name in ("key", "value", "timestamp"):
            if (value := found.get(name)) is None or value == "":
                raise lacks(f"metrics[{i}].{name}")


def _add(points: PointTable, index: dict[SeriesKey, int], fields: Mapping[str, Any], path: str) -> None:
    """One decoded point. Raises `MlflowError`."""
    key, value, timestamp = fields["key"], fields["value"], fields["timestamp"]
    dataset_name, dataset_digest = fields.get("dataset_name", ""), fields.get("dataset_digest", "")
    if bool(dataset_name) != bool(dataset_digest):
        raise invalid("Both dataset_name and dataset_digest must be provided if one is provided")
    rules.check_metric_name(key, path + "name")
    rules.check_time(key, value, timestamp, path + "timestamp")
    series = SeriesKey(key, fields.get("model_id", ""), dataset_name, dataset_digest)
    points.k.append(_series(index, series))
    points.s.append(fields.get("step", 0))
    points.t.append(timestamp)
    points.v.append(value)


def _series(index: dict[SeriesKey, int], series: SeriesKey) -> int:
    at = index.get(series)
    if at is None:
        if any(series[1:]):
            rules.check_indexed("A metric's key, model and dataset", *series)
        at = index[series] = len(index)
    return at


ROUTES: Final = (
    Write(
        "POST", "/runs/log-metric", log_metric,
        message(
            "run_id", "run_uuid", "key", "model_id", "dataset_name", "dataset_digest",
            value=NUMBER, timestamp=INTEGER, step=INTEGER,
        ),
        ("run_id", "key", "value", "timestamp"),
    ),
)  # fmt: skip
