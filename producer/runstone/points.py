"""The calls that record metrics: a point, points of one step, a series. They run in the training's loop."""

import struct
from array import array
from collections.abc import Iterable, Mapping
from typing import Any, Final

from runstone.events import limits
from runstone.events.types import SeriesKey
from runstone.exceptions import InvalidInputError
from runstone.inputs import (
    check_series_key,
    checked_key,
    measured,
    number,
    numbers,
    plain_dict,
    step_number,
    step_numbers,
    time_number,
    time_numbers,
)
from runstone.run_stream import RunStream
from runstone.spool.segment import SERIES_PAYLOAD

NS_PER_MS: Final = 1_000_000
LATEST_POINT_MS: Final = (2**64 - 1) // NS_PER_MS
"""The last time, in the year 2554, that a point's record can hold; later ones are records of a series."""

SERIES_MOST: Final = 4000
"""Points of one record, so that it stays below the size of an event as JSON at its longest."""


class Points(RunStream):
    """A run's metrics."""

    def log_metric(self, key: str, value: Any, step: int = 0) -> None:
        """Record one point of a metric; the time is now.

        Args:
            key: 1 to 250 characters, no control characters.
            value: whatever ``float()`` takes, texts excepted; NaN and infinities are kept.
            step: a signed 64-bit integer.

        Raises:
            InvalidInputError: one of them is not what it must be; nothing is recorded.
            RunEndedError: the run has ended.
        """
        if type(value) is not float:
            value = number(value, key)
        if type(key) is not str:
            key = checked_key(key, "metric")
        if type(step) is not int:
            step = step_number(step, key)
        try:
            self._point(self._stream, key, value, step)
        except struct.error:
            self._point(self._stream, key, value, step_number(step, key))  # says what is wrong with it

    def log_point(
        self,
        key: str,
        value: Any,
        step: int = 0,
        time: int | None = None,
        *,
        model_id: str = "",
        dataset: tuple[str, str] = ("", ""),
    ) -> None:
        """Record one point that happened at another time than now, or was measured for a model or dataset.

        Args:
            key: as for `log_metric`.
            value: as for `log_metric`.
            step: as for `log_metric`.
            time: integer ms UTC; without it now.
            model_id: of the logged model that was measured.
            dataset: name and digest of what it was measured on.

        Raises:
            InvalidInputError: something is not what it must be; nothing is recorded.
            RunEndedError: the run has ended.
        """
        if type(value) is not float:
            value = number(value, key)
        if type(key) is not str:
            key = checked_key(key, "metric")
        if type(step) is not int:
            step = step_number(step, key)
        if time is not None and (type(time) is not int or not 0 <= time <= LATEST_POINT_MS):
            time = time_number(time, key)
        name: str | SeriesKey = key
        if type(model_id) is not str or model_id or type(dataset) is not tuple or dataset != ("", ""):
            of = measured(model_id, dataset)
            name = SeriesKey(key, *of) if any(of) else key
        try:
            if time is None or time <= LATEST_POINT_MS:
                self._point(self._stream, name, value, step, None if time is None else time * NS_PER_MS)
                return
            check_series_key(key)
            columns = struct.pack("<qdq", step, value, time)
            self._session.writer.series(self._stream, name, SERIES_PAYLOAD.pack(1, 1) + columns)
        except struct.error:
            step_number(step, key)  # says what is wrong with it
            raise

    def log_metrics(self, metrics: Mapping[str, Any], step: int = 0) -> None:
        """Record a point of each metric; where one is bad, none is recorded. Raises as `log_metric`."""
        found = plain_dict(metrics, "metrics")
        values = [value if type(value) is float else number(value, key) for key, value in found.items()]
        if type(step) is not int or abs(step) > limits.STEP_MAX:
            step = step_number(step, next(iter(found), ""))
        plain = set(map(type, found)) == {str}
        if not (plain and self._session.writer.points(self._stream, list(found), values, step)):
            keys = [checked_key(key, "metric") for key in found]
            for key, value in zip(keys, values, strict=True):
                self._point(self._stream, key, value, step)

    def log_series(
        self,
        key: str,
        values: Iterable[Any],
        steps: Iterable[int] | None = None,
        times: Iterable[int] | None = None,
    ) -> None:
        """Record many points of one metric at once, from sequences or arrays.

        Args:
            key: as for `log_metric`.
            values: whatever ``float()`` takes, texts excepted.
            steps: as many integers; without them 0, 1, 2, …
            times: as many integers, ms UTC; without them now.

        Raises:
            InvalidInputError: something is not what it must be; nothing is recorded.
            RunEndedError: the run has ended.
        """
        key = checked_key(key, "metric")
        v = numbers(values, key)
        s = array("q", range(len(v))) if steps is None else step_numbers(steps, key)
        t = None if times is None else time_numbers(times, key)
        for what, column in (("steps", s), ("times", t)):
            if column is not None and len(column) != len(v):
                raise InvalidInputError(
                    f"metric {key!r}: {len(v)} values need as many {what}, found {len(column)}"
                )
        for start in range(0, len(v), SERIES_MOST):
            part = slice(start, start + SERIES_MOST)
            head = SERIES_PAYLOAD.pack(len(v[part]), t is not None)
            columns = s[part].tobytes() + v[part].tobytes() + (b"" if t is None else t[part].tobytes())
            self._session.writer.series(self._stream, key, head + columns)
