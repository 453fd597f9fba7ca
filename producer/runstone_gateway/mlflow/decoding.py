"""Reads a request's body the way MLflow's server does: JSON, then protobuf's rules for JSON.

Unknown fields are ignored, ``null`` means absent, integers may come as texts or whole doubles, doubles as
texts, enumerations by name or number. What does not fit is told in MLflow's words where MLflow refuses it;
where MLflow goes on with the part that it could read, this refuses as well, so that nothing is ever half
written.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson
from aiohttp import web

from runstone_gateway.mlflow.errors import BAD_REQUEST, MlflowError, invalid
from runstone_gateway.mlflow.messages import (
    AS_IT_IS,
    BOOLEAN,
    INTEGER,
    NUMBER,
    TEXT,
    TEXT_MAP,
    Field,
    Message,
)

BODY_MOST: Final = 64 * 1024 * 1024
"""Bytes of a body."""

SMALL_BODY_MOST: Final = 4 * 1024 * 1024
"""Bytes of a body that only asks about files."""

DEPTH_MOST: Final = 100
"""Nesting of a body; protobuf's limit."""

VALUES_MOST: Final = 200_000
"""Values in a body: whoever sends 64 MB of ``[],`` would have gigabytes made of it, and everybody wait."""

_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)

SEE_DOCS: Final = " See the API docs for more information about request parameters."

Fields = dict[str, Any]
"""A decoded message: the fields that are present, by their names in snake case."""


class UnfitError(Exception):
    """A value that protobuf's JSON parser refuses; *path* says where."""

    def __init__(self, path: str, value: Any, why: str) -> None:
        super().__init__(why)
        self.path = path
        self.value = value
        self.why = why


async def read_body(
    request: web.Request, most: int = BODY_MOST, take: Callable[[int], None] = lambda _size: None
) -> bytes:
    """The body's bytes, at most *most*; *take* is told how many come, and may refuse them.

    Raises:
        MlflowError: the body is too large, or no JSON by its Content-Type.
    """
    if request.method in {"POST", "PUT"}:
        found = request.headers.get("Content-Type")
        if found is None:
            raise invalid("Bad Request. Content-Type header is missing.")
        if found.split(";")[0] != "application/json":
            raise invalid("Bad Request. Content-Type must be one of ['application/json'].")
    if (request.content_length or 0) > most:
        raise _too_large(most)
    if not request.body_exists:
        return b""
    parts, size = [], 0
    async for part, _ in request.content.iter_chunks():
        take(len(part))
        size += len(part)
        if size > most:
            raise _too_large(most)
        parts.append(part)
    return b"".join(parts)


def _too_large(most: int) -> MlflowError:
    return MlflowError(
        BAD_REQUEST, f"The request body is larger than {most} bytes; send it in parts.", status=413
    )


def parse(body: bytes) -> Fields:
    """The body's JSON object; an empty body is an empty object. Raises `MlflowError`."""
    if not body:
        return {}
    _check_values(body)
    found = _loads(body)
    if type(found) is str:  # old clients encode twice
        _check_values(found.encode())
        found = _loads(found)
    if found is None:
        return {}
    if type(found) is not dict:
        raise invalid(f"The request body must be a JSON object; it is {_kind(found)}.")
    _check_depth(found)
    return found


def _check_values(body: bytes) -> None:
    """Refuse what has too many values, without making them. A text is one, also a dataset's profile."""
    if _separators(body) <= VALUES_MOST:
        return
    quotes = body.count(b'"') - body.count(b'\\"')
    if quotes > 2 * VALUES_MOST or _separators(_STRING.sub(b"", body)) > VALUES_MOST:
        raise invalid(f"The request body has more than {VALUES_MOST} values; send them in parts.")


def _separators(body: bytes) -> int:
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def _loads(text: bytes | str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as wrong:
        raise invalid(f"The request body is not valid JSON in UTF-8: {wrong}.") from None


def _check_depth(found: Any) -> None:
    level = [found]
    for _ in range(DEPTH_MOST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return
    raise invalid(f"The request body is nested deeper than {DEPTH_MOST} levels.")


def _kind(found: object) -> str:
    return {"list": "an array", "bool": "a boolean"}.get(type(found).__name__, "a number")


def decode(
    message: Message,
    found: Mapping[str, Any],
    required: Sequence[str] = (),
    check: Callable[[Mapping[str, Any]], None] | None = None,
) -> Fields:
    """The fields of *message* in *found*.

    Without the fields named by *required* MLflow's server refuses the request; *check* is whatever else it
    looks at.

    Raises:
        MlflowError: in MLflow's words.
    """
    refuse_two_names(message, found)
    unfit: UnfitError | None = None
    fields: Fields = {}
    try:
        fields = convert(message, found, "")
    except UnfitError as wrong:
        unfit = wrong
    for name in required:  # in the order in which MLflow's server looks at them
        value = found.get(name)
        if name == "run_id" and value is None:
            value = found.get("run_uuid")
        if value is None or value == "":
            raise lacks(name)
        if unfit is not None and unfit.path == name:
            break
    if unfit is not None:
        raise unfit_parameter(unfit)
    if check is not None:
        check(found)
    return fields


def unfit_parameter(wrong: UnfitError) -> MlflowError:
    """The refusal of a value of another type."""
    shown = json.dumps(wrong.value, sort_keys=True, separators=(",", ":"))
    if len(shown) > 1000:
        shown = shown[:1000] + "…"
    return invalid(
        f"Invalid value {shown} for parameter '{wrong.path}' supplied: {wrong.why}"
        f" Hint: Value was of type '{type(wrong.value).__name__}'.{SEE_DOCS}"
    )


def lacks(path: str) -> MlflowError:
    """The refusal of a request that lacks a parameter."""
    return invalid(f"Missing value for required parameter '{path}'.{SEE_DOCS}")


def refuse_two_names(message: Message, found: Any) -> None:
    """Refuse an object that spells a field in both ways. Raises `MlflowError`."""
    if type(found) is not dict:
        return
    for name, json_name in message.two_names:
        if json_name in found and name in found:
            raise invalid(f"Request specifies both '{name}' and '{json_name}'; provide only one of them.")
    for field in message.fields:
        if isinstance(field.kind, Message):
            value = found.get(field.name, found.get(field.json_name))
            for item in value if type(value) is list else [value]:
                refuse_two_names(field.kind, item)


def convert(message: Message, found: Any, path: str) -> Fields:
    """The fields in a JSON object. Raises `UnfitError`."""
    if type(found) is not dict:
        raise UnfitError(path, found, "")
    fields: Fields = {}
    by_name = message.by_name
    for name, value in found.items():
        field = by_name.get(name)
        if field is None or value is None:
            continue
        at = f"{path}.{field.name}" if path else field.name
        if not field.repeated:
            _put(fields, field, value, at)
        elif type(value) is list:
            fields[field.name] = [_item(field, item, f"{at}[{i}]") for i, item in enumerate(value)]
        else:
            raise UnfitError(at, value, "")
    return fields


def _put(fields: Fields, field: Field, value: Any, at: str) -> None:
    if isinstance(field.kind, Mapping) and type(value) is str and value not in field.kind:
        try:
            int(value)
        except ValueError:
            return  # the name of no member: as if the field were unknown
    fields[field.name] = _item(field, value, at)


def _item(field: Field, value: Any, at: str) -> Any:
    kind = field.kind
    if kind == TEXT:
        return text(value, at)
    if kind == INTEGER:
        return integer(value, at)
    if kind == NUMBER:
        return number(value, at)
    if isinstance(kind, Message):
        return convert(kind, value, at)
    if kind == AS_IT_IS:
        return value
    if kind == BOOLEAN:
        if type(value) is not bool:
            raise UnfitError(at, value, "")
        return value
    if kind == TEXT_MAP:
        if type(value) is not dict:
            raise UnfitError(at, value, "")
        return {text(k, at): text(v, f"{at}.{k}") for k, v in value.items()}
    assert isinstance(kind, Mapping)
    return _member(kind, value, at)


def _member(members: Mapping[str, int], value: Any, at: str) -> str:
    if type(value) is str and value in members:
        return value
    wanted = integer(value, at)
    for name, number_ in members.items():
        if number_ == wanted:
            return name
    raise UnfitError(at, value, "")


def text(value: Any, at: str) -> str:
    """A text, which may hold no NUL: nothing behind this gateway could keep it."""
    if type(value) is not str:
        raise UnfitError(at, value, "")
    if "\0" in value:
        raise UnfitError(at, value, "A text with NUL characters cannot be stored.")
    return value


def integer(value: Any, at: str) -> int:
    """A 64-bit integer, also as a whole double or a text."""
    if type(value) is int:
        found = value  # what orjson reads as int fits 64 bits, but may be unsigned
    elif type(value) is float and value.is_integer():
        found = int(value)
    elif type(value) is str and " " not in value:
        try:
            found = int(value)
        except ValueError:
            try:
                double = float(value)
            except ValueError:
                raise UnfitError(at, value, "") from None
            if not double.is_integer():
                raise UnfitError(at, value, "") from None
            found = int(double)
    else:
        raise UnfitError(at, value, "")
    if not -(2**63) <= found < 2**63:
        raise UnfitError(at, value, "It does not fit a 64-bit integer.")
    return found


def number(value: Any, at: str) -> float:
    """A double, also as a text; "NaN" and "Infinity" are texts."""
    kind = type(value)
    if kind is float:
        if not math.isfinite(value):
            raise UnfitError(at, value, "It does not fit a 64-bit double.")
        return float(value)
    if kind is int or kind is bool or kind is str:
        try:
            if value != "nan":
                return float(value)
        except ValueError:
            pass
    raise UnfitError(at, value, "")
