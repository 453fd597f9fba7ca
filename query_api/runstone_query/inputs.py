"""What a request says, checked: every function answers a value of the type it promises or raises a problem.

A problem names the field, what was found and what is accepted. Nothing unknown is ever skipped: a
misspelt ``max_points`` must not become a download of everything.
"""

import re
from collections.abc import Collection, Mapping
from typing import Final, cast

from aiohttp import web

from runstone.events import limits
from runstone_query import client_json
from runstone_query.configuration import BODY_MAX
from runstone_query.problems import invalid, not_found

_DIGITS: Final = re.compile(r"[0-9]{1,16}")

_NAMES_MAX: Final = 1000

OF_EVERY_READ: Final = ("consistent", "min_offset", "generation")
"""Query parameters of every read: what it must have seen, of which generation (`runstone_query.reading`)."""


async def body(request: web.Request, fields: Collection[str]) -> Mapping[str, object]:
    """The JSON object that *request* carries, which has no other members than *fields*.

    Raises:
        Problem: 400, 413 or 415.
    """
    if request.content_type != "application/json":
        found = request.headers.get("Content-Type", "none")
        raise invalid("Content-Type", found, "application/json", status=415)
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.lower() != "identity":
        raise invalid("Content-Encoding", coding, "a body that is not compressed", status=415)
    try:
        raw = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise invalid("body", "more", f"at most {BODY_MAX} bytes", status=413) from None
    except web.RequestPayloadError as wrong:
        raise invalid("body", str(wrong), "a body as its headers say") from None
    try:
        found = client_json.loads(raw)
    except ValueError as wrong:
        raise invalid("body", f"no JSON ({wrong})", "a JSON object") from None
    if type(found) is not dict:
        raise invalid("body", found, "a JSON object")
    for name in found:
        if name not in fields:
            raise invalid(f"body, the member {name[:100]!r}", found[name], f"only {', '.join(fields)}")
    return cast("dict[str, object]", found)


def query(request: web.Request, fields: Collection[str]) -> Mapping[str, str]:
    """The query parameters of *request*: none but *fields* and `OF_EVERY_READ`, none twice."""
    fields = (*fields, *OF_EVERY_READ)
    accepted = ", ".join(fields)
    found: dict[str, str] = {}
    for name, value in request.query.items():
        if name not in fields:
            raise invalid(f"the query parameter {name[:100]!r}", value, f"only {accepted}")
        if name in found:
            raise invalid(name, "it twice", "it once")
        found[name] = text(name, value)
    return found


def text(field: str, value: object) -> str:
    """A text that Postgres can hold: without NUL and halves of surrogate pairs."""
    if type(value) is not str:
        raise invalid(field, value, "a text")
    if not storable(value):
        raise invalid(field, ascii(value), "a text without NUL characters and halves of surrogate pairs")
    return value


def storable(value: str) -> bool:
    """Whether Postgres can hold *value*."""
    return "\0" not in value and not any("\ud800" <= c <= "\udfff" for c in value)


def texts(field: str, value: object, low: int = 0, high: int = _NAMES_MAX) -> list[str]:
    """A list of *low* to *high* texts."""
    return [text(f"{field}[{n}]", member) for n, member in enumerate(_list(field, value, low, high))]


def _list(field: str, value: object, low: int, high: int) -> list[object]:
    if type(value) is not list:
        raise invalid(field, value, "a list")
    if not low <= len(value) <= high:
        raise invalid(field, f"a list of {len(value)}", f"a list of {low} to {high}")
    return cast("list[object]", value)


def integer(field: str, value: object, low: int, high: int) -> int:
    """An integer of a body, from *low* to *high*."""
    if type(value) is not int or not low <= value <= high:
        raise invalid(field, value, f"an integer from {low} to {high}")
    return value


def digits(field: str, value: str, low: int, high: int) -> int:
    """An integer of a path or query, from *low* to *high*."""
    if not _DIGITS.fullmatch(value) or not low <= int(value) <= high:
        raise invalid(field, value, f"an integer from {low} to {high}")
    return int(value)


def choice(field: str, value: object, accepted: Collection[str]) -> str:
    """One of *accepted*."""
    if type(value) is not str or value not in accepted:
        raise invalid(field, value, f"one of {', '.join(accepted)}")
    return value


def flag(field: str, value: str) -> bool:
    """``true`` or ``false`` of a query."""
    return choice(field, value, ("true", "false")) == "true"


def experiment_id(field: str, value: object) -> int:
    """The id of an experiment: an integer below 2**53, or its digits."""
    if isinstance(value, str):
        return digits(field, value, 0, limits.EXPERIMENT_ID_MAX)
    return integer(field, value, 0, limits.EXPERIMENT_ID_MAX)


def experiment_ids(field: str, value: object) -> list[int]:
    """A list of experiments' ids."""
    return [experiment_id(f"{field}[{n}]", v) for n, v in enumerate(_list(field, value, 0, _NAMES_MAX))]


def run_id(request: web.Request) -> str:
    """The run id in the path; one that Postgres cannot hold is nobody's."""
    found = request.match_info["run_id"]
    if not storable(found):
        raise not_found("run", found)
    return found


def metric_key(field: str, value: str) -> str:
    """The key of a metric."""
    if not 1 <= len(text(field, value)) <= limits.KEY_MAX:
        raise invalid(field, value, f"a key of 1 to {limits.KEY_MAX} characters")
    return value
