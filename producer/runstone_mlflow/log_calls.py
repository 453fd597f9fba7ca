"""What is logged to a run: checked as MLflow checks it, appended to the spool, and back at once."""

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import Any, Final

from mlflow.entities import Metric, Param, RunTag
from mlflow.utils.async_logging.run_operations import RunOperations
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME
from mlflow.utils.validation import (
    _validate_batch_log_data,
    _validate_batch_log_limits,
    _validate_dataset_inputs,
    _validate_metric,
    _validate_param,
    _validate_param_keys_unique,
    _validate_tag,
)

from runstone.events import types
from runstone.exceptions import InvalidInputError
from runstone.run_stream import now_ms
from runstone_mlflow import as_events, failures
from runstone_mlflow.failures import in_mlflows_words
from runstone_mlflow.journal import KnownRun
from runstone_mlflow.run_calls import RunCalls

_LARGE: Final = 150_000
"""Bytes of a dataset's schema, source and profile together that an event takes; more goes by REST."""


class LogCalls(RunCalls):
    """The calls that log."""

    def __init__(self, store_uri: str) -> None:
        super().__init__(store_uri)
        self._keys: set[str] = set()

    def log_metric(self, run_id: str, metric: Metric) -> None:
        """Append a point."""
        known = self._journal.get(run_id)
        if known is None or known.deleted:
            known = self._known(run_id)
        key, value = metric.key, metric.value
        if key not in self._keys or type(value) is not float:
            _validate_metric(key, value, metric.timestamp, metric.step)
            self._keys.add(key)
        try:
            known.point(key, value, metric.step, metric.timestamp, **_measured(metric))
        except InvalidInputError as wrong:
            raise failures.invalid(str(wrong)) from None

    def log_param(self, run_id: str, param: Param) -> None:
        """Append a param; the first value that this process knows of stands."""
        known = self._known(run_id)
        checked = _validate_param(param.key, param.value)
        with known.lock, in_mlflows_words():
            value = known.params.get(checked.key)
            if value is None:
                known.params[checked.key] = checked.value
                known.run.record([as_events.param(checked.key, checked.value)])
            elif value != checked.value:
                raise failures.changed_param(run_id, checked.key, value, checked.value)

    def set_tag(self, run_id: str, tag: RunTag) -> None:
        """Append a tag; ``mlflow.runName`` renames the run."""
        known = self._known(run_id)
        checked = _validate_tag(tag.key, tag.value)
        with known.lock, in_mlflows_words():
            self._set_tags(known, [checked])

    def delete_tag(self, run_id: str, key: str) -> None:
        """Delete a tag: one that this process has set, by the spool, another one by REST."""
        known = self._known(run_id)
        with known.lock:
            if key in known.tags:
                known.run.record([types.TagDeleted(key, now_ms())])
                known.tags.discard(key)
                return
        super().delete_tag(run_id, key)

    def log_batch(
        self, run_id: str, metrics: Sequence[Metric], params: Sequence[Param], tags: Sequence[RunTag]
    ) -> None:
        """Append all of it, or nothing where something is wrong."""
        known = self._known(run_id)
        metrics, params, tags = _validate_batch_log_data(metrics, params, tags)
        _validate_batch_log_limits(metrics, params, tags)
        _validate_param_keys_unique(params)
        with known.lock, in_mlflows_words():
            points = [(as_events.point(metric), metric) for metric in metrics]
            known.run.record(self._new_params(known, params))
            for (key, value, step, time), metric in points:
                known.point(key, value, step, time, **_measured(metric))
            self._set_tags(known, tags)

    def log_batch_async(
        self, run_id: str, metrics: Sequence[Metric], params: Sequence[Param], tags: Sequence[RunTag]
    ) -> RunOperations:
        """`log_batch`, which is no slower than handing it to a thread; the outcome comes with ``wait()``."""
        outcome: Future[None] = Future()
        try:
            self.log_batch(run_id, metrics, params, tags)
            outcome.set_result(None)
        except Exception as wrong:  # whoever waits gets it
            outcome.set_exception(wrong)
        return RunOperations([outcome])

    def log_inputs(
        self, run_id: str, datasets: Sequence[Any] | None = None, models: Sequence[Any] | None = None
    ) -> None:
        """Append datasets and models that the run read; datasets too large for an event go by REST."""
        known = self._known(run_id)
        _validate_dataset_inputs(datasets or [])
        by_rest: list[Any] = []
        with known.lock, in_mlflows_words():
            for each in datasets or ():
                name = each.dataset.name, each.dataset.digest
                if name in known.datasets:  # the first one stands, as at MLflow
                    continue
                if as_events.dataset_size(each) > _LARGE:
                    by_rest.append(each)
                else:
                    known.run.record([as_events.dataset_input(each)])
                known.datasets.add(name)
            known.run.record(types.ModelInput(each.model_id, now_ms()) for each in models or ())
        if by_rest:
            super().log_inputs(run_id, by_rest)

    def log_outputs(self, run_id: str, models: Sequence[Any]) -> None:
        """Append models that the run made."""
        known = self._known(run_id)
        with known.lock, in_mlflows_words():
            known.run.record(types.ModelOutput(each.model_id, each.step, now_ms()) for each in models)

    def _new_params(self, known: KnownRun, params: Iterable[Param]) -> list[types.Event]:
        changed = []
        new = []
        for param in params:
            value = known.params.get(param.key)
            if value is None:
                new.append(param)
            elif value != param.value:
                changed.append({"key": param.key, "old_value": value, "new_value": param.value})
        if changed:
            raise failures.changed_params(known.run.run_id, changed)
        known.params.update((param.key, param.value) for param in new)
        return [as_events.param(param.key, param.value) for param in new]

    def _set_tags(self, known: KnownRun, tags: Iterable[RunTag]) -> None:
        for tag in tags:
            if tag.key == MLFLOW_RUN_NAME:
                self._rename(known, tag.value)
            else:
                known.run.record(as_events.tags({tag.key: tag.value}))
            known.tags.add(tag.key)


def _measured(metric: Metric) -> dict[str, Any]:
    """What a point was measured for, where it was for something."""
    if metric.model_id is None and metric.dataset_name is None:
        return {}
    dataset = (metric.dataset_name or "", metric.dataset_digest or "")
    return {"model_id": metric.model_id or "", "dataset": dataset}
