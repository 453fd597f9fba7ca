"""Page tokens: where the next page begins, told by the last row of this one.

A token is opaque to its holder: URL-safe base64 of the JSON array ``[1, generation, hash of the query,
values]`` with the sort columns of the last row. It belongs to one query and one generation; whoever forges
one can ask for no more than what the search would show anyway, since its values are only ever arguments.
"""

import base64
import binascii
import hashlib
import math
from collections.abc import Sequence
from typing import Final

import orjson

from runstone.events.encoding import value_to_json
from runstone_query.problems import Problem, invalid
from runstone_query.search.compile import ColumnType, SortValue

_VERSION: Final = 1
_ACCEPTED: Final = "the next_page_token of the same query, unchanged"
_NOT_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def query_hash(query: object) -> str:
    """A short hash of what a query asks for, its JSON with sorted keys; the page's size is no part of it."""
    return hashlib.sha256(orjson.dumps(query, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


class OtherGenerationError(Problem):
    """A token of another generation than the one that is read; whoever reads may go on in the token's.

    Attributes:
        generation: the token's.
    """

    def __init__(self, generation: str, read: str) -> None:
        super().__init__(
            400,
            "stale-page-token",
            f"page_token: the read model has been replaced by {read} since this token was given "
            f"(by {generation}), which is gone; begin again with the first page",
            field="page_token",
            found=f"a token of {generation}",
            accepted=f"a token of {read}",
        )
        self.generation = generation


def encode(generation: str, query: str, values: Sequence[SortValue]) -> str:
    """The token of the page after the row whose sort columns are *values*."""
    listed = [value_to_json(value) if isinstance(value, float) else value for value in values]
    packed = orjson.dumps([_VERSION, generation, query, listed])
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def decode(token: str, generation: str, query: str, types: Sequence[ColumnType]) -> list[SortValue]:
    """The values that *token* carries, checked against the *types* of the sort columns.

    Raises:
        Problem: 400 for anything that `encode` did not make for this query and generation.
    """
    try:
        packed = base64.b64decode(token.encode() + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
        found = orjson.loads(packed)
    except (UnicodeEncodeError, binascii.Error, orjson.JSONDecodeError):
        raise invalid("page_token", token, _ACCEPTED) from None
    match found:
        case [int(version), str(of_generation), str(of_query), list(values)] if version == _VERSION:
            pass
        case _:
            raise invalid("page_token", token, _ACCEPTED)
    if of_query != query:
        raise invalid("page_token", "a token of another query", _ACCEPTED)
    if of_generation != generation:
        raise OtherGenerationError(of_generation, generation)
    if len(values) != len(types):
        raise invalid("page_token", token, _ACCEPTED)
    try:
        return [_value(value, type_) for value, type_ in zip(values, types, strict=True)]
    except (KeyError, ValueError):
        raise invalid("page_token", token, _ACCEPTED) from None


def _value(value: object, type_: ColumnType) -> SortValue:
    match type_, value:
        case _, None:
            return None
        case "float8", str(name):
            return _NOT_FINITE[name]
        case ("float8", float(known)) | ("boolean", bool(known)):
            return known
        case "bigint", int(number) if type(number) is int and -(2**63) <= number < 2**63:
            return number
        case "text", str(words) if "\0" not in words:
            return words
        case _:
            raise ValueError(type_)
