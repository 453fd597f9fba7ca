"""Turns what a call returned or raised into plain values that must be equal for both servers.

Ids, times of the test itself, made-up run names and the server's address are replaced by placeholders,
numbered in the order in which they were first seen: two results are equal only if the same ids stand in the
same places. Pure but for the clock that tells a time of the test from one that a test gave.
"""

import contextlib
import json
import math
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import requests
from mlflow.entities import LoggedModel, RunData
from mlflow.exceptions import MlflowException
from mlflow.store.entities import PagedList

UNORDERED = {"dataset_inputs", "model_inputs", "model_outputs", "tags", "params", "data.metrics", "aliases"}
"""Lists in which MLflow keeps no order: its database gives the rows as it finds them.

Metrics only as part of a run or model ("data.metrics"): those of a history are ordered.
"""

FAULTS = ("too many 500 error responses", "(psycopg2.")
"""Signs of a server that failed: what the client says of a 5xx, and an error of MLflow's database passed on."""

MADE_UP_NAME = re.compile(r"^[a-z]+-[a-z]+-\d{1,3}$")
"""What MLflow's server calls a run that nobody named."""

_IDS = re.compile(
    r"m-[0-9a-f]{32}|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b[0-9a-f]{32}\b"
)
_MOMENT = re.compile(r"\b20\d\d-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?")
_ANSWER = re.compile(r"Response text: (\{[^{}]*\})")
_TEMPORARY = re.compile(rf"{re.escape(tempfile.gettempdir())}/tmp\w+")
_SET = re.compile(r"\{('[^{}']*'(?:, '[^{}']*')+)\}")
"""A Python set in a message: its order differs from process to process."""

_BEGAN = time.time() * 1000 - 60_000


class Canon:
    """The placeholders of one test on one server."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses
        self._ids: dict[str, str] = {}
        self._experiments: dict[str, str] = {}
        self._tokens: set[str] = set()
        self._peeking = False

    def knows_experiment(self, experiment_id: str) -> None:
        """From now on *experiment_id* is replaced wherever it stands."""
        if len(experiment_id) > 8:  # "0" is Default; what the servers number has more digits
            self._experiments.setdefault(experiment_id, f"<experiment {len(self._experiments) + 1}>")

    def of(self, value: Any, key: str = "") -> Any:
        """The canonical form of *value*; *key* is its name in what holds it."""
        match value:
            case None | bool():
                return value
            case str():
                return self._text(value)
            case int() | np.integer():
                return self._number(int(value), key)
            case float() | np.floating():
                return self._float(float(value), key)
            case bytes():
                return self._text(value.decode(errors="backslashreplace"))
            case Path():
                return value.name
            case BaseException():
                return self._raised(value)
            case requests.Response():
                return self._answer(value)
            case pd.DataFrame():
                columns = sorted(map(str, value.columns))
                return {"columns": columns, "rows": [self.of(row) for row in value.to_dict("records")]}
            case pd.Timestamp():
                return self._number(int(value.timestamp() * 1000), key)
            case np.ndarray():
                return self.of(value.tolist())
            case PagedList():
                self._note_token(value.token)
                return {"items": [self.of(item) for item in value], "more": bool(value.token)}
            case Mapping():
                self._note_experiments(value)
                self._note_token(value.get("next_page_token"))
                inner = "data." if key == "data" else ""
                return {
                    self._text(str(k)): self.of(v, f"{inner}{k}" if f"{inner}{k}" in UNORDERED else str(k))
                    for k, v in sorted(value.items(), key=_by_text)
                }
            case list() | tuple() | Iterator():
                return [self.of(item, key) for item in (self._sorted(value) if key in UNORDERED else value)]
            case set() | frozenset():
                return [self.of(item, key) for item in self._sorted(value)]
        return self._object(value)

    def _object(self, value: Any) -> Any:
        if value is pd.NaT:
            return None
        if isinstance(value, RunData):
            # the objects hold steps and times, which the properties leave out
            metrics = self.of(value._metric_objs, "data.metrics")
            return {"metrics": metrics, "params": self.of(value.params), "tags": self.of(value.tags)}
        if isinstance(value, LoggedModel):
            return self.of(dict(value) | {"metrics": self.of(value.metrics or [], "data.metrics")})
        if type(value).__module__.startswith("mlflow.entities"):
            return self.of(dict(value) if hasattr(value, "_properties") else vars(value))
        return f"<{type(value).__name__}>"

    def _sorted(self, values: Iterable[Any]) -> list[Any]:
        """*values* in an order that does not depend on ids which were never seen before."""
        self._peeking = True
        try:
            return sorted(values, key=lambda value: str(self.of(value)))
        finally:
            self._peeking = False

    def _note_experiments(self, value: Mapping[Any, Any]) -> None:
        if isinstance(found := value.get("experiment_id"), str):
            self.knows_experiment(found)

    def _note_token(self, token: str | None) -> None:
        if token:
            self._tokens.add(token)

    def _text(self, text: str) -> str:
        if text in self._tokens:
            return "<token>"
        if MADE_UP_NAME.match(text):
            return "<made-up name>"
        text = _ANSWER.sub(_error_answer, text)
        for address in self._addresses:
            text = text.replace(address, "<server>")
        for found in _IDS.findall(text):
            if self._peeking and found not in self._ids:
                text = text.replace(found, "<new>")
            else:
                self._id(found)
        # also where they stand within a longer word, as after the %2F of an address
        for known, placeholder in (self._experiments | self._ids).items():
            text = text.replace(known, placeholder)
        text = _SET.sub(lambda found: "{" + ", ".join(sorted(found[1].split(", "))) + "}", text)
        text = re.sub(r"\b1[789]\d{11}\b", lambda found: str(self._number(int(found[0]), "")), text)
        return _MOMENT.sub("<moment>", _TEMPORARY.sub("<folder>", text))

    def _id(self, found: str) -> None:
        kind = "model" if found.startswith("m-") else "id"
        self._ids.setdefault(found, f"<{kind} {len(self._ids) + 1}>")

    def _number(self, value: int, key: str) -> Any:
        if str(value) in self._experiments:
            return self._experiments[str(value)]
        if _BEGAN < value < time.time() * 1000 + 60_000:
            return "<now>"
        return value

    def _float(self, value: float, key: str) -> Any:
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        return (
            self._number(int(value), key) if value > 1e12 and value.is_integer() and value < 2e12 else value
        )

    def _raised(self, error: BaseException) -> Any:
        if any(sign in str(error) for sign in FAULTS):
            return {"status": 500}
        found: dict[str, Any] = {"raised": type(error).__name__, "message": self._text(str(error))}
        if isinstance(error, MlflowException):
            found |= {"error_code": error.error_code, "status": error.get_http_status_code()}
        return found

    def _answer(self, answer: requests.Response) -> Any:
        if answer.status_code >= 400 and any(sign in answer.text for sign in FAULTS):
            return {"status": 500}
        kind = answer.headers.get("Content-Type", "").partition(";")[0]
        body: Any = answer.text
        if kind == "application/json":
            # a stored file may be called JSON and be none
            with contextlib.suppress(ValueError):
                body = json.loads(answer.text)
        return {"status": answer.status_code, "type": kind, "body": self.of(body)}


def _error_answer(found: re.Match[str]) -> str:
    """An error answer within a client's message; one server's JSON has spaces, the other's has none."""
    try:
        said = json.loads(found[1])
    except ValueError:
        return found[0]
    return f"Response text: {said.get('error_code')}: {said.get('message')}"


def _by_text(item: tuple[Any, Any]) -> str:
    return str(item[0])


def differences(expected: Any, got: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The places where two canonical values differ: (path, expected, got)."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in sorted(expected.keys() | got.keys()):
            yield from differences(expected.get(key, "<absent>"), got.get(key, "<absent>"), f"{path}.{key}")
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for index, (one, other) in enumerate(zip(expected, got, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    elif type(expected) is not type(got) or expected != got:
        yield path, expected, got
