"""What a request of an MLflow client asks: fields of its query, or of its JSON body.

As in MLflow's server, a GET with a query is read from the query and anything else from the body; a field has
two names (``run_id``, ``runId``); null is as good as absent; integers may be texts; unknown fields are
ignored, for a newer client must not be refused. What cannot be understood is refused, where MLflow's server
passes over some of it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final, cast

from aiohttp import web

from runstone_query import client_json
from runstone_query.configuration import BODY_MAX
from runstone_query.inputs import storable
from runstone_query.mlflow.errors import MlflowError, invalid

DOCS: Final = " See the API docs for more information about request parameters."

_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1


class Asked:
    """The fields of one request; every method raises the `MlflowError` that names what is wrong.

    Args:
        fields: by name, in either spelling; the values of a query are lists of texts.
        query: whether they come from a query.
    """

    def __init__(self, fields: Mapping[str, object], *, query: bool) -> None:
        self._fields = fields
        self._query = query

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._value(name) is not None

    def text(self, name: str, default: str = "") -> str:
        """A text, *default* where it is absent."""
        found = self._one(name)
        if found is None:
            return default
        return self._text(name, found)

    def required_text(self, name: str) -> str:
        """A text that is not empty."""
        found = self.text(name)
        if not found:
            raise invalid(f"Missing value for required parameter '{name}'.{DOCS}")
        return found

    def run_id(self) -> str:
        """``run_id``, or its old name ``run_uuid``."""
        return self.text("run_id") or self.text("run_uuid") or self.required_text("run_id")

    def texts(self, name: str) -> list[str]:
        """A list of texts, empty where it is absent."""
        return [self._text(name, member) for member in self.members(name)]

    def members(self, name: str) -> Sequence[object]:
        """A list of whatever it holds, empty where it is absent."""
        found = self._value(name)
        if found is None:
            return []
        if type(found) is not list:
            raise wrong_value(name, found)
        return cast("list[object]", found)

    def integer(self, name: str, default: int) -> int:
        """A 64-bit integer, *default* where it is absent."""
        found = self._one(name)
        if found is None:
            return default
        if type(found) is str or (type(found) is float and found.is_integer()):
            try:
                found = int(found)
            except ValueError:
                raise wrong_value(name, found) from None
        if type(found) is not int or not _INT64_MIN <= found <= _INT64_MAX:
            raise wrong_value(name, found)
        return found

    def enumerated(self, name: str, names: Mapping[str, int], default: int) -> int:
        """The number of one of *names*, given by name or number."""
        found = self._one(name)
        if type(found) is str and found in names:
            return names[found]
        number = self.integer(name, default)
        if number not in names.values():
            raise wrong_value(name, found)
        return number

    def max_results(self, default: int, most: int) -> int:
        """``max_results``, from 1 to *most*."""
        found = self.integer("max_results", default)
        if found < 1:
            raise invalid(
                f"Invalid value {found} for parameter 'max_results' supplied. It must be a positive integer"
            )
        if found > most:
            raise invalid(
                f"Invalid value {found} for parameter 'max_results' supplied. It must be at most {most}"
            )
        return found

    def _value(self, name: str) -> object:
        found = self._fields.get(name)
        return found if found is not None else self._fields.get(_json_name(name))

    def _one(self, name: str) -> object:
        found = self._value(name)
        return cast("list[str]", found)[0] if self._query and found is not None else found

    def _text(self, name: str, found: object) -> str:
        if type(found) is not str or not storable(found):
            raise wrong_value(name, found)
        return found


def _json_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def wrong_value(name: str, found: object) -> MlflowError:
    """The error of a field that holds something else than it should."""
    shown = json.dumps(found, sort_keys=True, separators=(",", ":"))
    if len(shown) > 200:
        shown = shown[:199] + "…"
    return invalid(
        f"Invalid value {shown} for parameter '{name}' supplied: "
        f" Hint: Value was of type '{type(found).__name__}'.{DOCS}"
    )


async def asked(request: web.Request) -> Asked:
    """The fields of *request*. Raises `MlflowError`."""
    if request.method == "GET" and request.query:
        return Asked({name: request.query.getall(name) for name in request.query}, query=True)
    if request.method != "GET":
        _check_content_type(request)
    return Asked(await _body(request), query=False)


def _check_content_type(request: web.Request) -> None:
    if "Content-Type" not in request.headers:
        raise invalid("Bad Request. Content-Type header is missing.")
    if request.content_type != "application/json":
        raise invalid("Bad Request. Content-Type must be one of ['application/json'].")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise invalid("Bad Request. The body must not be compressed.")


async def _body(request: web.Request) -> Mapping[str, object]:
    try:
        raw = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise invalid(f"Bad Request. The body must not be larger than {BODY_MAX} bytes.") from None
    except web.RequestPayloadError:
        raise invalid("Bad Request. The body is not as its headers say.") from None
    if not raw.strip():
        return {}
    try:
        found = client_json.loads(raw)
        if type(found) is str:  # old clients encode their JSON twice
            found = client_json.loads(found)
    except ValueError as wrong:
        raise invalid(f"Bad Request. The body is not valid JSON ({wrong}).") from None
    if type(found) is not dict:
        raise invalid("Bad Request. The body must be a JSON object.")
    return cast("dict[str, object]", found)
