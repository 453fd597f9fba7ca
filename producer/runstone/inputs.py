"""What a caller hands in, made into what the ledger takes: checked, converted, or refused with a reason.

Pure functions. A mistake raises `InvalidInputError` before anything is written; texts that are too long or
hold what Postgres cannot are not mistakes but data, and are altered, which the caller of `text` is told.
"""

import math
import operator
import re
from array import array
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from runstone.events import limits
from runstone.events.artifact_paths import check_artifact_path
from runstone.events.types import SeriesKey, check_key
from runstone.exceptions import InvalidInputError, MalformedEnvelopeError

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_UNHOLDABLE: Final = re.compile("[\0\ud800-\udfff]")
_HALF_PAIR: Final = re.compile("[\ud800-\udfff]")
_RUN_ID: Final = re.compile("[0-9a-f]{32}")
_SHOWN_MOST: Final = 80

MEASURED_MOST: Final = 500
"""Characters of a model's id, a dataset's name or digest beside a metric's key; MLflow's longest."""


def checked_key(key: object, what: str) -> str:
    """*key* as a plain text. *what* it is the key of: "metric", "param", "tag"."""
    if isinstance(key, str):
        plain = _plain(key)
        try:
            check_key(plain)
        except MalformedEnvelopeError:
            pass
        else:
            if not _HALF_PAIR.search(plain):
                return plain
    raise InvalidInputError(
        f"a {what}'s key must be a text of 1 to {limits.KEY_MAX} characters without control characters; "
        f"found {shown(key)}" + (f" with {len(key)} characters" if isinstance(key, str) else "")
    )


def check_series_key(key: object) -> None:
    """Raise unless *key* can name a metric, or a metric of a model or dataset."""
    checked_key(key[0] if type(key) is SeriesKey else key, "metric")


def measured(model_id: object, dataset: object) -> tuple[str, str, str]:
    """What a point was measured of: a model's id, a dataset's name and digest; each may be empty."""
    if not isinstance(dataset, (tuple, list)) or len(dataset) != 2:
        raise InvalidInputError(f"dataset: expected the pair (name, digest), found {shown(dataset)}")
    for what, part in (
        ("model_id", model_id),
        ("dataset's name", dataset[0]),
        ("dataset's digest", dataset[1]),
    ):
        if not isinstance(part, str) or len(part) > MEASURED_MOST:
            raise InvalidInputError(
                f"{what}: expected a text of at most {MEASURED_MOST} characters, found {shown(part)}"
            )
    return clean(str(model_id)), clean(str(dataset[0])), clean(str(dataset[1]))


def number(value: object, key: object) -> float:
    """Whatever ``float()`` takes, texts excepted."""
    if isinstance(value, (str, bytes, bytearray)):
        raise InvalidInputError(
            f"metric {shown(key)}: a value must be a number, found the text {shown(value)}"
        )
    try:
        return float(value)  # type: ignore[arg-type]
    except Exception as wrong:  # a foreign type's __float__ may raise anything
        raise InvalidInputError(
            f"metric {shown(key)}: a value must be a number that float() takes, found "
            f"{type(value).__name__} {shown(value)} ({type(wrong).__name__}: {_said(wrong)})"
        ) from None


def step_number(step: object, key: object) -> int:
    """A signed 64-bit integer; None stands for 0."""
    if step is None:
        return 0
    try:
        found = operator.index(step)  # type: ignore[arg-type]
    except Exception:  # a foreign type's __index__ may raise anything
        raise InvalidInputError(
            f"metric {shown(key)}: a step must be a whole number, found {type(step).__name__} {shown(step)}"
        ) from None
    if not limits.STEP_MIN <= found <= limits.STEP_MAX:
        raise InvalidInputError(
            f"metric {shown(key)}: a step must fit 64 bits (-2**63 to 2**63-1), found {shown(found)}"
        )
    return found


def numbers(values: Iterable[Any], key: object) -> "array[float]":
    """Many values as doubles, at the speed of C where they lie in an array."""
    if isinstance(values, (str, bytes, bytearray)):
        raise InvalidInputError(f"metric {key!r}: values must be numbers, found a text")
    if (copied := _from_buffer(values, "d")) is not None:
        return copied
    listed = _listed(values, key, "values")
    try:
        return array("d", listed)
    except Exception:  # some value needs float(), or is none: the slow way says which
        return array("d", [number(value, key) for value in listed])


def step_numbers(steps: Iterable[Any], key: object) -> "array[int]":
    """Many steps as signed 64-bit integers."""
    return _integers(steps, key, "steps", step_number)


def time_number(time: object, key: object) -> int:
    """A time as integer milliseconds UTC."""
    try:
        found = operator.index(time)  # type: ignore[arg-type]
    except Exception:  # a foreign type's __index__ may raise anything
        raise InvalidInputError(
            f"metric {shown(key)}: a time must be a whole number of milliseconds since 1970, found "
            f"{type(time).__name__} {shown(time)}"
        ) from None
    if not 0 <= found <= limits.TIME_MAX:
        raise InvalidInputError(
            f"metric {shown(key)}: a time must be milliseconds since 1970 up to the year 9999, "
            f"found {shown(found)}"
        )
    return found


def time_numbers(times: Iterable[Any], key: object) -> "array[int]":
    """Many times as integer milliseconds UTC."""
    found = _integers(times, key, "times", time_number)
    if found:
        time_number(min(found), key)
        time_number(max(found), key)
    return found


def _integers(
    found: Iterable[Any], key: object, what: str, checked: Callable[[object, object], int]
) -> "array[int]":
    if (copied := _from_buffer(found, "q")) is not None:
        return copied
    listed = _listed(found, key, what)
    try:
        return array("q", listed)
    except Exception:  # one of them is none: the slow way says which
        return array("q", [checked(one, key) for one in listed])


def _listed(values: Iterable[Any], key: object, what: str) -> list[Any]:
    if isinstance(values, (Mapping, AbstractSet)):  # of which a walk would give the keys, or no order
        raise InvalidInputError(f"metric {key!r}: {what} must be a sequence, found {type(values).__name__}")
    try:
        return list(values)
    except Exception as wrong:  # a 0-d array, a number: whatever cannot be walked, or not to its end
        raise InvalidInputError(
            f"metric {key!r}: {what} must be a sequence, found {type(values).__name__} "
            f"({type(wrong).__name__}: {_said(wrong)})"
        ) from None


def _from_buffer(values: object, typecode: str) -> "array[Any] | None":
    """A copy of one-dimensional memory that has the wanted 8-byte type already, else None."""
    try:
        view = memoryview(values)  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError):
        return None
    wanted = {"d"} if typecode == "d" else {"q", "l"}
    if view.ndim != 1 or view.itemsize != 8 or view.format not in wanted or not view.contiguous:
        return None
    found = array(typecode)
    found.frombytes(view.cast("B"))
    return found


def plain_dict(found: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The pairs of any mapping."""
    try:
        return dict(found.items())
    except Exception:  # whatever else has, or has not, something called items
        raise InvalidInputError(f"{what}: expected a dict, found {type(found).__name__}") from None


def text(value: object, longest: int) -> tuple[str, str]:
    """*value* as a text that the ledger holds, and what had to be done to it ("" where nothing had)."""
    try:
        found = value if type(value) is str else str(value)
    except Exception as wrong:  # a foreign type's __str__ may raise anything
        raise InvalidInputError(
            f"expected what str() takes, found {type(value).__name__} "
            f"({type(wrong).__name__}: {_said(wrong)})"
        ) from None
    done = ""
    if len(found) > longest:
        done = f"truncated from {len(found)} to {longest} characters"
        found = found[:longest]
    if not found.isprintable() and _UNHOLDABLE.search(found):
        done = f"{done} and rid of NUL or half surrogate pairs".removeprefix(" and ")
        found = _UNHOLDABLE.sub(REPLACEMENT, found)
    return found, done


def clean(value: str, longest: int = limits.TAG_VALUE_MAX) -> str:
    """*value* as a text that the ledger holds, for what the client says itself."""
    return text(value, longest)[0]


def checked_name(name: object, what: str, longest: int) -> str:
    """An experiment's name, which is its identity: refused rather than altered."""
    if not isinstance(name, str) or not name.strip() or len(name) > longest or _UNHOLDABLE.search(name):
        raise InvalidInputError(
            f"{what} must be a text of 1 to {longest} characters without NUL, found {shown(name)}"
        )
    return _plain(name)


def checked_run_id(run_id: object, source: str) -> str:
    """A run's id as 32 hexadecimal digits; dashes of a UUID's text are dropped."""
    found = run_id.replace("-", "").lower() if isinstance(run_id, str) else ""
    if not _RUN_ID.fullmatch(found):
        raise InvalidInputError(
            f"{source}={shown(run_id)} is no run's id; expected 32 hexadecimal digits, "
            "as run.run_id gives them or uuidgen makes them"
        )
    return found


def checked_status(status: object) -> str:
    """A status that a run can end with."""
    if not isinstance(status, str) or status not in {"FINISHED", "FAILED", "KILLED"}:
        raise InvalidInputError(f"a run ends as FINISHED, FAILED or KILLED, found {shown(status)}")
    return _plain(status)


def checked_artifact_path(path: object, what: str) -> str:
    """A path within a run's artifacts, by the contract's rule."""
    if not isinstance(path, str):
        raise InvalidInputError(f"{what}: expected a text, found {type(path).__name__}")
    try:
        return check_artifact_path(_plain(path))
    except InvalidInputError as wrong:
        raise InvalidInputError(f"{what}: {wrong}") from None


def seconds(timeout: object) -> float:
    """How long to wait; infinity is possible."""
    if not isinstance(timeout, (int, float)) or math.isnan(timeout):
        raise InvalidInputError(f"timeout: expected a number of seconds, found {shown(timeout)}")
    return timeout


def shown(value: object) -> str:
    """*value* as an error message can show it, whatever its own ``__repr__`` does."""
    try:
        found = repr(value)
    except Exception:  # of a foreign type, or an integer of thousands of digits
        return f"one of type {type(value).__name__}"
    return found if len(found) <= _SHOWN_MOST else f"{found[:_SHOWN_MOST]}…"


def _said(wrong: Exception) -> str:
    try:
        return str(wrong)[:_SHOWN_MOST]
    except Exception:  # of a foreign type
        return "…"


def _plain(text: str) -> str:
    """The characters of a text, also where its type is derived from ``str`` and shows itself otherwise."""
    return str.__str__(text)
